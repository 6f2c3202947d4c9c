/** Shows steps as they are done: with listr2 on a terminal, as plain lines elsewhere. */

export interface ProgressStep {
  readonly title: string
  run(): Promise<void>
}

const TERMINAL_DUMB = 'dumb'
/** Narrower terminals, and those that do not know their width, get plain lines. */
const COLUMNS_MIN = 40

/** Runs the steps in order; the first error ends it and is thrown as it is. */
export async function runSteps(steps: readonly ProgressStep[], options: { quiet: boolean }): Promise<void> {
  const { stdout, stderr, env } = process
  const wide = stdout.isTTY && stderr.isTTY && stdout.columns >= COLUMNS_MIN
  const terminal = wide && env['TERM'] !== TERMINAL_DUMB
  if (options.quiet) for (const step of steps) await step.run()
  else if (terminal) await runOnTerminal(steps)
  else await runWithLines(steps)
}

async function runWithLines(steps: readonly ProgressStep[]): Promise<void> {
  for (const step of steps) {
    process.stderr.write(`- ${step.title}\n`)
    await step.run()
  }
}

async function runOnTerminal(steps: readonly ProgressStep[]): Promise<void> {
  const { Listr } = await import('listr2')
  const tasks = steps.map(step => ({ title: step.title, task: () => step.run() }))
  // The error is shown once, by report-error.
  // Signals are the command's own affair.
  await new Listr(tasks, {
    registerSignalListeners: false,
    rendererOptions: { showErrorMessage: false, collapseErrors: false },
  }).run()
}
