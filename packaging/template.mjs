/** The text with each @NAME@ replaced by the field of that name. */
export function filled(text, fields) {
  return text.replace(/@(\w+)@/g, (_, name) => fields[name])
}
