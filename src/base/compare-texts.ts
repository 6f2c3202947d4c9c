/** The order of texts that does not depend on anybody's language: by UTF-16 code units. */

export const compareTexts = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
