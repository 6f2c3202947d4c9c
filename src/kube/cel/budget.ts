/** Counts what an evaluation costs and stops it at its limit. */

/** Not an error of the expression: nothing in it can get over this. */
export class CostExceeded extends Error {
  constructor() {
    super('operation cancelled: actual cost limit exceeded')
  }
}

export class CostMeter {
  readonly limit: number
  spent = 0

  constructor(limit: number) {
    this.limit = limit
  }

  charge(cost: number): void {
    this.spent += cost
    if (this.spent > this.limit) throw new CostExceeded()
  }
}

export const SELECT_COST = 1
export const LIST_COST = 10
export const MAP_COST = 30
export const STRUCT_COST = 40
