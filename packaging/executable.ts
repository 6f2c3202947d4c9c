/** One executable out of a base, the loader and the assets: the base repaired, built by Node, signed and checked. */
import { execFileSync } from 'node:child_process'
import { chmodSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CarriedLibrary, withLibraries } from './carried-libraries.ts'
import { withoutLibatomic } from './compare-exchange.ts'
import { neededLibraries } from './dynamic.ts'
import { cutSymbols } from './elf.ts'
import { checkSignature, signAdHoc } from './macho.ts'
import { isSigned, withoutSignature } from './pe.ts'
import type { Target } from './targets.ts'

const IDENTIFIER = 'mk8s'

export interface Parts {
  readonly root: string
  /** For what is made on the way. */
  readonly work: string
  readonly target: Target
  /** The Node binary of the target's platform. */
  readonly base: string
  /** Relative to `root`, so that the path of the checkout is not in the executable; `assets` likewise. */
  readonly main: string
  readonly assets: Readonly<Record<string, string>>
  /** For Linux: what is to travel inside. */
  readonly libraries: readonly CarriedLibrary[]
  readonly output: string
}

/** @throws Error when the base is not what it is taken for, or the result fails its check. */
export function makeExecutable(parts: Parts): void {
  const { root, work, target, base, main, assets, libraries, output } = parts
  const repaired = join(work, `base-${target.name}`)
  writeFileSync(repaired, repair(target, readFileSync(base)), { mode: 0o755 })
  const made = join(work, target.output)
  const config = join(work, `${target.name}.json`)
  writeFileSync(
    config,
    JSON.stringify({
      main,
      mainFormat: 'commonjs',
      executable: repaired,
      output: made,
      disableExperimentalSEAWarning: true,
      useCodeCache: false,
      useSnapshot: false,
      execArgvExtension: 'none',
      assets,
    }),
  )
  execFileSync(process.execPath, ['--build-sea', config], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (target.name.startsWith('macos')) writeFileSync(made, signAdHoc(readFileSync(made), IDENTIFIER))
  if (target.name.startsWith('linux')) writeFileSync(made, withLibraries(readFileSync(made), libraries))
  chmodSync(made, 0o755)
  check(target, readFileSync(made))
  renameSync(made, output)
}

/** What the base has to lose before anything is put into it. */
export function repair({ name }: Target, base: Buffer): Buffer {
  if (name.startsWith('linux')) return withoutLibatomic(cutSymbols(base))
  return name.startsWith('win') ? withoutSignature(base) : base
}

function check({ name }: Target, executable: Buffer): void {
  if (name.startsWith('macos')) checkSignature(executable)
  if (name.startsWith('win') && isSigned(executable))
    throw new Error(`${name}: the signature of the base is left`)
  if (name.startsWith('linux') && neededLibraries(executable).includes('libatomic.so.1')) {
    throw new Error(`${name}: libatomic is still needed`)
  }
}
