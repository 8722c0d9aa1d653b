/** How functions are stored. Only the thread that reads or stores them loads it: its validation takes 10 MB. */
export const functionJson = () => import('./function-json.js')
