/** Why tests that need the guest kernel of scripts/uml.mjs are skipped; undefined inside it. */
export const notInGuest: string | undefined =
  process.env['FLUX_KERNEL'] === 'uml' ? undefined : 'runs only in the kernel of scripts/uml.mjs'
