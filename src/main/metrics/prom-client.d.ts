/** The part that formats. The rest of prom-client takes 2 MB of memory, and is not needed where numbers are counted here. */
declare module 'prom-client/lib/registry.js' {
  import { Registry } from 'prom-client'
  export default Registry
}
