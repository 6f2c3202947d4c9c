/** Tables of text as kubectl prints them. Pure. */

/** The first row is the head. */
export function renderColumns(table: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of table)
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length)
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  return table.map(line).join('\n')
}
