/** Problems of an expression with their places, in the form in which upstream shows them. */

export interface SourceProblem {
  readonly at: number
  readonly message: string
}

/** More are not shown. */
const PROBLEMS_MAX = 10

/** Thrown by lexer and parser at the first problem. */
export class SyntaxProblem extends Error {
  readonly at: number

  constructor(at: number, message: string) {
    super(message)
    this.at = at
  }
}

/** `ERROR: <input>:1:6: message`, the line, and a mark under the place; problems in the order of their places. */
export function formatProblems(source: string, problems: readonly SourceProblem[]): string {
  const sorted = [...problems].sort((a, b) => a.at - b.at)
  return sorted
    .slice(0, PROBLEMS_MAX)
    .map(problem => formatProblem(source, problem))
    .join('\n')
}

function formatProblem(source: string, { at, message }: SourceProblem): string {
  const before = source.slice(0, at)
  const lineStart = before.lastIndexOf('\n') + 1
  const line = before.split('\n').length
  const column = [...source.slice(lineStart, at)].length
  const end = source.indexOf('\n', at)
  const text = source.slice(lineStart, end === -1 ? source.length : end)
  return `ERROR: <input>:${line}:${column + 1}: ${message}\n | ${text}\n | ${'.'.repeat(column)}^`
}
