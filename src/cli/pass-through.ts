/** Becomes another program (kubectl, helm) with the node's kubeconfig: its flags, its terminal, its exit code. */
import { accessSync, constants } from 'node:fs'
import { delimiter, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Mk8sError, systemCodeOf } from '../base/errors.ts'
import { isBundled } from '../host/assets.ts'
import { findExecutable } from '../host/find-program.ts'
import { nodePaths } from '../host/node-files.ts'
import { replaceProcess } from '../host/replace-process.ts'

export const passedThrough = ['kubectl', 'helm'] as const

/** Does not return where a process can be replaced; else it resolves to the program's exit code. */
export function becomeProgram(name: string, args: readonly string[], kubeconfig: string): number {
  const program = locateProgram(name)
  if (program === undefined) {
    throw new Mk8sError('host/program-missing', `${name} is not installed`, {
      why: 'it is neither on PATH nor beside mk8s',
      hint: `install ${name}, or put it beside mk8s`,
    })
  }
  // The cache of compiled code is ours and nobody else's.
  const { NODE_COMPILE_CACHE: _, ...rest } = process.env
  const env = { ...definedOnly(rest), KUBECONFIG: kubeconfig }
  return replaceProcess(program, args, env)
}

/** The kubeconfig of the node in that directory, which this user has to be able to read. */
export function nodeKubeconfig(dataDir: string): string {
  const { kubeconfig } = nodePaths(dataDir)
  checkReadable(kubeconfig, dataDir)
  return kubeconfig
}

function definedOnly(env: NodeJS.ProcessEnv): Record<string, string> {
  const entries = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return Object.fromEntries(entries)
}

function checkReadable(kubeconfig: string, dataDir: string): void {
  try {
    accessSync(kubeconfig, constants.R_OK)
  } catch (error) {
    if (systemCodeOf(error) === 'EACCES') {
      throw new Mk8sError('host/not-root', `${kubeconfig} may not be read by this user`, {
        hint: 'run the command with sudo',
        cause: error,
      })
    }
    throw new Mk8sError('node/not-installed', `mk8s is not installed in ${dataDir}`, { hint: 'mk8s install' })
  }
}

/** Undefined: it is not installed. */
export const locateProgram = (name: string): string | undefined => locate(name, process.env['PATH'] ?? '')

/** On PATH, beside the executable, or where a checkout keeps its own. */
function locate(name: string, path: string): string | undefined {
  const beside = isBundled
    ? [dirname(process.execPath)]
    : [fileURLToPath(new URL('../../build/bin', import.meta.url))]
  return findExecutable(name, [...path.split(delimiter), ...beside])
}
