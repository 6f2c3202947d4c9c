/** Lists of a job's indexes as upstream writes them: `0,3-5`. */

/** How many indexes `0,3-5` names, or what is wrong with it. */
export function countIndexes(text: string, completions: number): number | string {
  let last = -1
  let total = 0
  for (const part of text === '' ? [] : text.split(',')) {
    const limits = part.split('-')
    if (limits.length > 2) {
      const rule = 'violates the requirement that an index interval can have at most two parts'
      return `the fragment ${JSON.stringify(part)} ${rule} separated by '-'`
    }
    const numbers: number[] = []
    for (const limit of limits) {
      const quoted = JSON.stringify(limit)
      if (!/^[+-]?\d+$/.test(limit)) return `cannot convert string to integer for index: ${quoted}`
      if (Number(limit) >= completions) return `too large index: ${quoted}`
      numbers.push(Number(limit))
    }
    const [low = 0, high = low] = numbers
    const disorder = (before: number, now: number) =>
      `non-increasing order, previous: ${before}, current: ${now}`
    if (numbers.length > 1 && low >= high) return disorder(low, high)
    if (last >= low) return disorder(last, low)
    total += high - low + 1
    last = high
  }
  return total
}
