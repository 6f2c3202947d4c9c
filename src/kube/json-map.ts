/** JSON objects with keys as they come, told apart from lists, null and plain values. */

export type JsonMap = Record<string, unknown>

export const isMap = (value: unknown): value is JsonMap =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
