/** Transactions of the embedded store that this thread has begun, and that are neither committed nor failed. */
export const transactions = { underWay: 0 }
