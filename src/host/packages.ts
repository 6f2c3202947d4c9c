/** The system's package manager: whether it knows packages, and having it install them. Debian and its relatives. */
import { globSync } from 'node:fs'
import { Mk8sError, messageOf } from '../base/errors.ts'
import { findProgram } from './container-programs.ts'
import { runProgram } from './programs.ts'

const ENVIRONMENT = { DEBIAN_FRONTEND: 'noninteractive', LANG: 'C.UTF-8' }
const SIMULATE_MS_MAX = 30_000
const UPDATE_MS_MAX = 120_000
const INSTALL_MS_MAX = 600_000
const INSTALL = ['install', '--yes', '--no-install-recommends']

/**
 * Whether they could be installed, as far as can be told. A machine whose lists of packages were never fetched
 * knows none, so they are fetched first.
 */
export async function canInstall(packages: readonly string[]): Promise<boolean> {
  if (process.geteuid?.() !== 0 || findProgram('apt-get') === undefined) return false
  const options = { env: ENVIRONMENT, timeoutMs: SIMULATE_MS_MAX, accept: 'any' as const }
  const simulate = async () =>
    (await runProgram('apt-get', [...INSTALL, '--simulate', ...packages], options)).exitCode === 0
  if (await simulate()) return true
  if (hasPackageLists()) return false
  await runProgram('apt-get', ['update'], { ...options, timeoutMs: UPDATE_MS_MAX })
  return simulate()
}

function hasPackageLists(): boolean {
  return globSync('/var/lib/apt/lists/*_Packages*').length > 0
}

/** Tries with the lists of packages that are there, and once more with fresh ones. */
export async function installPackages(packages: readonly string[]): Promise<void> {
  const options = { env: ENVIRONMENT, timeoutMs: INSTALL_MS_MAX }
  const install = () => runProgram('apt-get', [...INSTALL, ...packages], options)
  try {
    await install().catch(async () => {
      await runProgram('apt-get', ['update'], options)
      await install()
    })
  } catch (error) {
    const why = error instanceof Mk8sError ? (error.why ?? error.message) : messageOf(error)
    throw new Mk8sError('host/program-missing', `the packages ${packages.join(', ')} cannot be installed`, {
      why,
      hint: 'install them by hand, or choose --runtime process',
      cause: error,
    })
  }
}
