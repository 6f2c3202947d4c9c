/** An image out of the machine's own static busybox: a small but whole userland. */
import { existsSync, readFileSync } from 'node:fs'
import { Mk8sError } from '../../base/errors.ts'
import type { TarEntry } from '../../base/tar.ts'
import { runProgram } from '../../host/programs.ts'
import { type Architecture, renderOciArchive } from './oci-archive.ts'

const PATHS = ['/bin/busybox', '/usr/bin/busybox']
const PASSWD = 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n'
const GROUP = 'root:x:0:\nnogroup:x:65534:\n'

/** What brings the program on Debian and its relatives. */
export const BUSYBOX_PACKAGES = ['busybox-static'] as const

export const hasStaticBusybox = (): boolean => staticProgram() !== undefined

function staticProgram(): { path: string; program: Buffer } | undefined {
  const path = PATHS.find(existsSync)
  const program = path === undefined ? undefined : readFileSync(path)
  return path === undefined || program === undefined || !isStatic(program) ? undefined : { path, program }
}

export async function busyboxImage(name: string, architecture: Architecture): Promise<Buffer> {
  const found = staticProgram()
  if (found === undefined) {
    throw new Mk8sError('host/program-missing', 'a static busybox is needed to make an image of it', {
      hint: 'apt-get install busybox-static',
    })
  }
  const { path, program } = found
  const { stdout } = await runProgram(path, ['--list'])
  const applets = stdout.split('\n').filter(applet => applet !== '' && applet !== 'busybox')
  return renderOciArchive({ name, architecture, files: filesOf(program, applets), command: ['sh'] })
}

function filesOf(program: Buffer, applets: readonly string[]): TarEntry[] {
  const directory = (path: string, mode = 0o755): TarEntry => ({ type: 'directory', name: path, mode })
  const file = (path: string, content: string): TarEntry => ({
    type: 'file',
    name: path,
    mode: 0o644,
    content: Buffer.from(content),
  })
  return [
    ...['bin', 'dev', 'etc', 'home', 'proc', 'root', 'sys', 'usr', 'usr/bin', 'var'].map(path =>
      directory(path),
    ),
    directory('tmp', 0o1777),
    file('etc/passwd', PASSWD),
    file('etc/group', GROUP),
    { type: 'file', name: 'bin/busybox', mode: 0o755, content: program },
    ...applets.map(applet => ({ type: 'link', name: `bin/${applet}`, target: 'bin/busybox' }) as const),
    { type: 'symlink', name: 'usr/bin/env', target: '../../bin/env' },
  ]
}

/** A program that asks for no interpreter (program header of type 3). */
function isStatic(elf: Buffer): boolean {
  if (elf.readUInt32BE(0) !== 0x7f454c46) return false
  const at = Number(elf.readBigUInt64LE(32))
  const size = elf.readUInt16LE(54)
  const count = elf.readUInt16LE(56)
  return Array.from({ length: count }, (_, index) => elf.readUInt32LE(at + index * size)).every(
    type => type !== 3,
  )
}
