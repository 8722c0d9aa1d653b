/** Loaded only by threads that read or store functions: the validation takes 10 MB of memory. */
export const functionJson = () => import('./function-json.js')
