/** Quantities as the validators need them: is a text one, which of two is larger, is it whole. */
import { compareQuantities as compare, parseQuantity, QuantityError } from '../../../../kube/quantity.ts'

export const QUANTITY_PROBLEM =
  "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
const NANO = 1_000_000_000n

export function isQuantity(text: unknown): text is string {
  try {
    parseQuantity(String(text))
    return true
  } catch (error) {
    if (error instanceof QuantityError) return false
    throw error
  }
}

/** Below, at or above 0 as `left` is less than, equal to or greater than `right`; both must be quantities. */
export function compareQuantities(left: string, right: string): number {
  return compare(parseQuantity(String(left)), parseQuantity(String(right)))
}

export const isWhole = (text: string): boolean => parseQuantity(String(text)).nano % NANO === 0n
