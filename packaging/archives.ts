/**
 * What people install instead of a bare executable: .tar.xz, .zip, .deb and .rpm. Times are
 * those of the commit and names are sorted, so that one commit makes the same archives.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32, deflateRawSync, gzipSync } from 'node:zlib'
import { renderTar } from '../src/base/tar.ts'
import { renderCompletion } from '../src/cli/completion.ts'
import { renderManPage } from '../src/cli/man-page.ts'
import { describeCommands } from '../src/commands/describe-commands.ts'
import { unitText } from '../src/host/systemd-unit.ts'
import { renderRpm } from './rpm.ts'
import type { Target } from './targets.ts'

interface PackedFile {
  readonly path: string
  readonly mode: number
  readonly content: Buffer
}

export interface ArchiveParts {
  readonly root: string
  readonly dist: string
  readonly target: Target
  readonly version: string
  /** Seconds since 1970. */
  readonly time: number
}

const SUMMARY = 'Kubernetes out of one executable'
const MAINTAINER = 'mk8s <mk8s@localhost>'
const DESCRIPTION =
  'Turns a machine into a Kubernetes cluster, and several machines into a highly available one.'
/** What the executable needs of the system: from glibc 2.36 on it uses the libraries of C++ that it carries. */
const DEB_DEPENDS = 'libc6 (>= 2.28), libc6 (>= 2.36) | libstdc++6, libc6 (>= 2.36) | libgcc-s1 | libgcc1'
const [DEBIAN_ZSH, COMMON_ZSH] = ['zsh/vendor-completions/', 'zsh/site-functions/']
const RPM_REQUIRES = [
  'libc.so.6(GLIBC_2.28)(64bit)',
  '(libc.so.6(GLIBC_2.36)(64bit) or libstdc++.so.6()(64bit))',
  '(libc.so.6(GLIBC_2.36)(64bit) or libgcc_s.so.1()(64bit))',
]
const ARCHITECTURES: Readonly<Record<string, { readonly deb: string; readonly rpm: 'x86_64' | 'aarch64' }>> =
  { 'linux-x64': { deb: 'amd64', rpm: 'x86_64' }, 'linux-arm64': { deb: 'arm64', rpm: 'aarch64' } }

/** Paths of what was made. */
export async function makeArchives(parts: ArchiveParts): Promise<readonly string[]> {
  const { dist, target, version } = parts
  const base = `mk8s-${version}-${target.name}`
  const write = (name: string, bytes: Buffer) => {
    const path = join(dist, name)
    writeFileSync(path, bytes)
    return path
  }
  if (target.name === 'win-x64') return [write(`${base}.zip`, renderZip(await plainFiles(parts), parts.time))]
  const made = [write(`${base}.tar.xz`, xz(tarOf(await plainFiles(parts), base, parts.time)))]
  const architectures = ARCHITECTURES[target.name]
  if (architectures === undefined) return made
  const { deb, rpm } = architectures
  const files = await systemFiles(parts)
  const { time } = parts
  return [
    ...made,
    write(`mk8s_${version}_${deb}.deb`, renderDeb(files, { version, time, architecture: deb })),
    write(`mk8s-${version}.${rpm}.rpm`, rpmOf(files, { version, time, architecture: rpm })),
  ]
}

/** For a directory of one's own. */
async function plainFiles({ root, dist, target }: ArchiveParts): Promise<readonly PackedFile[]> {
  const texts = await shellTexts()
  const executable = target.name === 'win-x64' ? 'mk8s.exe' : 'mk8s'
  return [
    { path: executable, mode: 0o755, content: readFileSync(join(dist, target.output)) },
    { path: 'LICENSE', mode: 0o644, content: readFileSync(join(root, 'LICENSE')) },
    { path: 'LICENSES.txt', mode: 0o644, content: readFileSync(join(dist, 'LICENSES.txt')) },
    { path: 'mk8s.1', mode: 0o644, content: texts.man },
    { path: 'completion/mk8s.bash', mode: 0o644, content: texts.bash },
    { path: 'completion/_mk8s', mode: 0o644, content: texts.zsh },
    { path: 'completion/mk8s.fish', mode: 0o644, content: texts.fish },
    { path: 'completion/mk8s.ps1', mode: 0o644, content: texts.powershell },
  ]
}

/** For a package manager. */
async function systemFiles({ root, dist, target }: ArchiveParts): Promise<readonly PackedFile[]> {
  const texts = await shellTexts()
  const unit = unitText({ program: '/usr/bin/mk8s', dataDir: '/var/lib/mk8s' })
  const share = (path: string, content: Buffer) => ({ path: `usr/share/${path}`, mode: 0o644, content })
  return [
    { path: 'usr/bin/mk8s', mode: 0o755, content: readFileSync(join(dist, target.output)) },
    { path: 'usr/lib/systemd/system/mk8s.service', mode: 0o644, content: Buffer.from(unit) },
    share('bash-completion/completions/mk8s', texts.bash),
    share('doc/mk8s/LICENSES.txt', readFileSync(join(dist, 'LICENSES.txt'))),
    share('doc/mk8s/copyright', readFileSync(join(root, 'LICENSE'))),
    share('fish/vendor_completions.d/mk8s.fish', texts.fish),
    share('man/man1/mk8s.1.gz', gzipSync(texts.man, { level: 9 })),
    share('zsh/vendor-completions/_mk8s', texts.zsh),
  ]
}

async function shellTexts() {
  const commands = await describeCommands()
  const of = (shell: Parameters<typeof renderCompletion>[0]) => Buffer.from(renderCompletion(shell, commands))
  return {
    ...{ bash: of('bash'), zsh: of('zsh'), fish: of('fish'), powershell: of('powershell') },
    man: Buffer.from(renderManPage(commands)),
  }
}

/** Two threads always, so that the number of processors changes no byte. */
const xz = (bytes: Buffer): Buffer =>
  execFileSync('xz', ['-6', '-T2', '--stdout'], { input: bytes, maxBuffer: 2 ** 30 })

function tarOf(files: readonly PackedFile[], directory: string, time: number): Buffer {
  const paths = files.map(({ path }) => `${directory}/${path}`)
  const directories = new Set(paths.flatMap(path => parentsOf(path)))
  return renderTar(
    [
      ...[...directories].sort().map(name => ({ type: 'directory' as const, name, mode: 0o755 })),
      ...files.map(({ mode, content }, at) => ({
        ...{ type: 'file' as const, name: paths[at] ?? '', mode, content },
      })),
    ],
    { modifiedMs: time * 1_000, owner: 'root' },
  )
}

function parentsOf(path: string): string[] {
  const parts = path.split('/').slice(0, -1)
  return parts.map((_, at) => parts.slice(0, at + 1).join('/'))
}

const RESTART = `if [ -d /run/systemd/system ]; then
  systemctl daemon-reload || true
  systemctl try-restart mk8s.service || true
fi
`
/** A restart leaves pods alone. */
const AFTER_DEB = `#!/bin/sh\nset -e\n${RESTART}`
const STOP = 'if [ -e /var/lib/mk8s/config.yaml ]; then /usr/bin/mk8s stop || true; fi\n'
const BEFORE_DEB = `#!/bin/sh\nset -e\nif [ "$1" = remove ]; then\n${STOP}fi\n`

/** Both scripts run for an upgrade too, after which one package is left. */
const BEFORE_RPM = `if [ "$1" = 0 ]; then\n${STOP}fi\n`

export function rpmOf(
  files: readonly PackedFile[],
  package_: { version: string; time: number; architecture: 'x86_64' | 'aarch64' },
): Buffer {
  const named = files.map(file => ({ ...file, path: file.path.replace(DEBIAN_ZSH, COMMON_ZSH) }))
  return renderRpm(named, {
    ...package_,
    name: 'mk8s',
    summary: SUMMARY,
    description: DESCRIPTION,
    license: 'Apache-2.0',
    requires: RPM_REQUIRES,
    afterInstall: RESTART,
    beforeRemove: BEFORE_RPM,
    compress: xz,
  })
}

export function renderDeb(
  files: readonly PackedFile[],
  { version, time, architecture }: { version: string; time: number; architecture: string },
): Buffer {
  const size = Math.ceil(files.reduce((sum, { content }) => sum + content.length, 0) / 1024)
  const control = `Package: mk8s
Version: ${version.replace('-', '~')}
Architecture: ${architecture}
Maintainer: ${MAINTAINER}
Installed-Size: ${size}
Depends: ${DEB_DEPENDS}
Section: admin
Priority: optional
Description: ${SUMMARY}
 ${DESCRIPTION}
`
  const scripts = [
    { path: 'control', mode: 0o644, content: Buffer.from(control) },
    { path: 'postinst', mode: 0o755, content: Buffer.from(AFTER_DEB) },
    { path: 'prerm', mode: 0o755, content: Buffer.from(BEFORE_DEB) },
  ]
  return renderAr(
    [
      { name: 'debian-binary', content: Buffer.from('2.0\n') },
      { name: 'control.tar.xz', content: xz(tarOf(scripts, '.', time)) },
      { name: 'data.tar.xz', content: xz(tarOf(files, '.', time)) },
    ],
    time,
  )
}

function renderAr(
  members: readonly { readonly name: string; readonly content: Buffer }[],
  time: number,
): Buffer {
  const parts = members.flatMap(({ name, content }) => [
    Buffer.from(
      `${name.padEnd(16)}${String(time).padEnd(12)}${'0'.padEnd(6)}${'0'.padEnd(6)}${'100644'.padEnd(8)}` +
        `${String(content.length).padEnd(10)}\`\n`,
    ),
    content,
    Buffer.alloc(content.length % 2, '\n'),
  ])
  return Buffer.concat([Buffer.from('!<arch>\n'), ...parts])
}

/** Times in a zip are of no zone and begin in 1980. */
function dosTime(time: number): number {
  const at = new Date(time * 1_000)
  const years = Math.max(0, at.getUTCFullYear() - 1980)
  const date = (years << 9) | ((at.getUTCMonth() + 1) << 5) | at.getUTCDate()
  const clock = (at.getUTCHours() << 11) | (at.getUTCMinutes() << 5) | (at.getUTCSeconds() >> 1)
  return date * 65_536 + clock
}

export function renderZip(files: readonly PackedFile[], time: number): Buffer {
  const [locals, centrals]: [Buffer[], Buffer[]] = [[], []]
  let offset = 0
  for (const { path, mode, content } of files) {
    const name = Buffer.from(path)
    const packed = deflateRawSync(content, { level: 9 })
    const common = Buffer.alloc(26)
    common.writeUInt16LE(20, 0)
    common.writeUInt16LE(8, 4)
    common.writeUInt32LE(dosTime(time), 6)
    common.writeUInt32LE(crc32(content), 10)
    common.writeUInt32LE(packed.length, 14)
    common.writeUInt32LE(content.length, 18)
    common.writeUInt16LE(name.length, 22)
    const central = Buffer.alloc(14)
    central.writeUInt32LE((0o100000 | mode) * 65_536, 6)
    central.writeUInt32LE(offset, 10)
    locals.push(Buffer.from('PK\x03\x04'), common, name, packed)
    // Made on a Unix, so that the mode counts.
    centrals.push(Buffer.from('PK\x01\x02'), Buffer.of(20, 3), common, central, name)
    offset += 4 + common.length + name.length + packed.length
  }
  const directory = Buffer.concat(centrals)
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 0, 'latin1')
  end.writeUInt16LE(files.length, 8)
  end.writeUInt16LE(files.length, 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...locals, directory, end])
}
