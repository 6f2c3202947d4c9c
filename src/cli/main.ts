/**
 * The command line: finds the command, lets oclif read its flags, and turns what happens into an exit code.
 * Global flags may stand before the command too: `mk8s --data-dir /srv/a kubectl get pods`.
 */
import { EXIT_BUG, EXIT_INTERRUPTED, EXIT_OK, Mk8sError } from '../base/errors.ts'
import { nearest } from '../base/nearest.ts'
import { commands } from '../commands/index.ts'
import { CLUSTER_ENV, DATA_DIR_DEFAULT, DATA_DIR_ENV } from '../config/options.ts'
import { versionLine } from '../config/version.ts'
import { settleHome } from './home.ts'
import { type Invocation, readInvocation } from './invocation.ts'
import { becomeProgram, passedThrough } from './pass-through.ts'
import { renderReport, renderReportAsJson, reportOf } from './report-error.ts'
import { endWithReader, paintFor, print } from './terminal.ts'

const SHOW_CURSOR = '\x1b[?25h'

/** Runs one command line, without the program's name; resolves to the exit code and never throws. */
export async function main(argv: readonly string[]): Promise<number> {
  endWithReader(process.stdout)
  endWithReader(process.stderr)
  process.once('SIGINT', interrupted)
  settleHome(process.env)
  const invocation = readInvocation(argv, Object.keys(commands))
  try {
    return await dispatch(invocation)
  } catch (error) {
    return report(error, invocation)
  } finally {
    process.removeListener('SIGINT', interrupted)
  }
}

function interrupted(): void {
  if (process.stderr.isTTY) process.stderr.write(`${SHOW_CURSOR}\n`)
  process.exit(EXIT_INTERRUPTED)
}

async function dispatch(invocation: Invocation): Promise<number> {
  const { id, args, typed } = invocation
  if (invocation.wantsVersion) {
    print(versionLine)
    return EXIT_OK
  }
  if (passedThrough.some(name => name === id)) {
    const { targetKubeconfig } = await import('./cluster-target.ts')
    return becomeProgram(id, args, await targetKubeconfig(targetFlags(invocation)))
  }
  if (id !== '' && !invocation.known) throw unknownCommand(typed)
  return id === '' || invocation.wantsHelp ? showHelp(invocation) : runCommand(invocation)
}

const targetFlags = ({ dataDir, cluster }: Invocation) => ({
  'data-dir': dataDir ?? (process.env[DATA_DIR_ENV] || DATA_DIR_DEFAULT),
  cluster: cluster ?? (process.env[CLUSTER_ENV] || undefined),
})

async function runCommand({ id, args, cluster }: Invocation): Promise<number> {
  const load = commands[id]
  if (load === undefined) throw unknownCommand(id)
  const [{ oclifConfig }, command] = await Promise.all([import('./oclif-config.ts'), load()])
  command.id = id
  if (cluster !== undefined && command.baseFlags['cluster'] === undefined) throw onNodeOnly(id)
  const config = await oclifConfig(commands, { withHelp: false })
  const outcome: unknown = await command.run([...args], config)
  return typeof outcome === 'number' ? outcome : EXIT_OK
}

async function showHelp({ id }: Invocation): Promise<number> {
  const [{ oclifConfig }, { Help }] = await Promise.all([
    import('./oclif-config.ts'),
    import('@oclif/core/help'),
  ])
  const config = await oclifConfig(commands, { withHelp: true })
  await new Help(config, { stripAnsi: !process.stdout.isTTY }).showHelp(id === '' ? [] : [id])
  return EXIT_OK
}

const onNodeOnly = (id: string): Mk8sError =>
  new Mk8sError('usage', `mk8s ${spoken(id)} does not work on a cluster elsewhere`, {
    why: 'it is about the node on which it is run',
    hint: `run mk8s ${spoken(id)} there, without --cluster`,
  })

function unknownCommand(typed: string): Mk8sError {
  const meant = nearest(typed, Object.keys(commands).map(spoken))
  const hint = meant === undefined ? 'mk8s --help lists the commands' : `did you mean mk8s ${meant}?`
  return new Mk8sError('usage', `${JSON.stringify(typed)} is not a command of mk8s`, { hint })
}

const spoken = (id: string): string => id.replaceAll(':', ' ')

async function report(error: unknown, invocation: Invocation): Promise<number> {
  try {
    const failure = reportOf(error, await flagsOf(invocation.id))
    const { debug, json } = invocation
    if (json) print(renderReportAsJson(failure, { debug }))
    else process.stderr.write(renderReport(failure, await paintFor(process.stderr), { debug }))
    return failure.exit
  } catch (second) {
    process.stderr.write(`${String(error)}\n${String(second)}\n`)
    return EXIT_BUG
  }
}

async function flagsOf(id: string): Promise<string[]> {
  const command = await commands[id]?.()
  return Object.keys({ ...command?.baseFlags, ...command?.flags }).map(name => `--${name}`)
}
