/**
 * Windows without Windows: a wine of the test's own, in which Node runs. Debian's wine 8 exports a function that V8 then
 * relies on and that does not do enough; under another name V8 takes an older way.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Ran, run } from './kubectl.ts'

const PROGRAMS = '/usr/lib/wine'
const PARTS = '/usr/lib/x86_64-linux-gnu/wine'
const SHARED = '/usr/share/wine'
const EXPORT = 'VirtualAlloc2\0'
const RENAMED = 'VirtualAlloc1\0'

/** False when there is a wine to take a copy of. */
export const whyNoWine: string | false = [
  join(PROGRAMS, 'wine64'),
  join(PARTS, 'x86_64-windows'),
  SHARED,
].every(path => existsSync(path))
  ? false
  : 'wine is not installed (packages wine and wine64)'

/** A path of this machine as wine's programs see it. */
export const windowsPath = (path: string): string => `Z:${path.replaceAll('/', '\\')}`

export class Wine {
  readonly #root: string
  readonly #environment: Readonly<Record<string, string>>

  private constructor(root: string) {
    this.#root = root
    this.#environment = { WINEPREFIX: join(root, 'prefix'), WINEDEBUG: '-all', DISPLAY: '' }
  }

  static async make(): Promise<Wine> {
    const root = mkdtempSync(join(tmpdir(), 'mk8s-wine-'))
    const parts = join(root, 'lib/x86_64-linux-gnu/wine')
    mkdirSync(join(parts, 'x86_64-windows'), { recursive: true })
    cpSync(PROGRAMS, join(root, 'lib/wine'), { recursive: true })
    cpSync(join(PARTS, 'x86_64-unix'), join(parts, 'x86_64-unix'), { recursive: true })
    for (const name of readdirSync(join(PARTS, 'x86_64-windows'))) {
      if (name !== 'kernelbase.dll')
        symlinkSync(join(PARTS, 'x86_64-windows', name), join(parts, 'x86_64-windows', name))
    }
    const kernel = readFileSync(join(PARTS, 'x86_64-windows/kernelbase.dll'), 'latin1')
    writeFileSync(join(parts, 'x86_64-windows/kernelbase.dll'), kernel.replaceAll(EXPORT, RENAMED), 'latin1')
    mkdirSync(join(root, 'share'))
    symlinkSync(SHARED, join(root, 'share/wine'))
    const wine = new Wine(root)
    await wine.run(['wineboot', '-i'])
    await wine.run(['winecfg', '-v', 'win10'])
    return wine
  }

  /** A path of drive C, as this machine sees it. */
  onDriveC(path: string): string {
    return join(this.#root, 'prefix/drive_c', path)
  }

  /** Its output has to be a file: Node's pipes are none of wine's. */
  async run(words: readonly string[]): Promise<Ran> {
    const directory = mkdtempSync(join(this.#root, 'out-'))
    const [out, errors] = [join(directory, 'out'), join(directory, 'errors')]
    const script = 'out=$1 errors=$2; shift 2; exec "$@" </dev/null >"$out" 2>"$errors"'
    const wine = join(this.#root, 'lib/wine/wine64')
    const { code } = await run('/bin/sh', ['-c', script, 'sh', out, errors, wine, ...words], {
      env: this.#environment,
    })
    const said = { code, stdout: readFileSync(out, 'utf8'), stderr: readFileSync(errors, 'utf8') }
    rmSync(directory, { recursive: true, force: true })
    return said
  }

  /** Ends everything that runs in it. */
  async remove(): Promise<void> {
    await run(join(this.#root, 'lib/wine/wineserver64'), ['-k'], { env: this.#environment })
    await run(join(this.#root, 'lib/wine/wineserver64'), ['-w'], { env: this.#environment })
    rmSync(this.#root, { recursive: true, force: true, maxRetries: 5 })
  }
}
