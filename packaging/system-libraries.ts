/**
 * The two libraries of C++ that Linux executables carry, as the system that builds has them: Debian's, which are found
 * in no npm package for a glibc and a GCC that would do. The same packages make the same executables.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SystemPart } from './bill.ts'
import type { CarriedLibrary } from './carried-libraries.ts'
import type { Target } from './targets.ts'

interface Source {
  readonly directories: readonly string[]
  /** Debian's packages, in the order of the libraries. */
  readonly packages: readonly string[]
}

const NAMES = ['libstdc++.so.6', 'libgcc_s.so.1'] as const

const SOURCES: Partial<Record<Target['name'], Source>> = {
  'linux-x64': {
    directories: ['/usr/lib/x86_64-linux-gnu', '/lib/x86_64-linux-gnu', '/usr/lib64'],
    packages: ['libstdc++6', 'libgcc-s1'],
  },
  'linux-arm64': {
    directories: ['/usr/aarch64-linux-gnu/lib', '/usr/lib/aarch64-linux-gnu'],
    packages: ['libstdc++6-arm64-cross', 'libgcc-s1-arm64-cross'],
  },
}

/** None but for Linux. @throws Error with the packages to install when one is missing. */
export function systemLibraries({ name }: Target): CarriedLibrary[] {
  const source = SOURCES[name]
  if (source === undefined) return []
  return NAMES.map(library => {
    const path = source.directories.map(each => join(each, library)).find(file => existsSync(file))
    if (path === undefined)
      throw new Error(
        `${library} for ${name} is missing; on Debian: apt-get install ${source.packages.join(' ')}`,
      )
    return { name: library, bytes: readFileSync(path) }
  })
}

/** For the bill of materials and the licences. */
export function systemParts(target: Target): SystemPart[] {
  const packages = SOURCES[target.name]?.packages ?? []
  return systemLibraries(target).map(({ name, bytes }, index) => {
    const from = packages[index] ?? name
    return {
      name: from,
      version: versionOf(from),
      license: 'GPL-3.0-or-later WITH GCC-exception-3.1',
      sha256: createHash('sha256').update(bytes).digest('hex'),
      text: copyright(from),
    }
  })
}

function versionOf(name: string): string {
  try {
    const format = '-f=$' + '{Version}\\n'
    return execFileSync('dpkg-query', ['-W', format, name], { encoding: 'utf8' }).split('\n')[0] ?? ''
  } catch {
    return 'unknown'
  }
}

/** Debian's own page of the package; systems without documentation have none. */
function copyright(name: string): string {
  const file = `/usr/share/doc/${name}/copyright`
  if (existsSync(file)) return readFileSync(file, 'utf8').trim()
  return 'The GNU General Public License 3 with the GCC Runtime Library Exception 3.1, https://www.gnu.org/licenses/'
}
