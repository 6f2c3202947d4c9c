/** A real SSH server for tests: OpenSSH on a loopback port, with a host key and a user's key made for it alone. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { until } from './until.ts'

const SSHD = '/usr/sbin/sshd'
/** OpenSSH will not start without it. */
const PRIVILEGE_SEPARATION = '/run/sshd'

/** Why the tests that need it are skipped here; null where it can be started. */
export function whyNoSshd(): string | null {
  if (process.getuid?.() !== 0) return 'an SSH server has to be started by root'
  for (const program of [SSHD, '/usr/bin/ssh', '/usr/bin/rsync']) {
    try {
      accessSync(program, constants.X_OK)
    } catch {
      return `${program} is not installed (sh scripts/setup.sh --for-tests installs it as root on Debian)`
    }
  }
  return null
}

export class Sshd {
  #place = ''
  #process: ChildProcess | undefined
  #output = ''
  port = 0
  readonly user = userInfo().username

  /** As in a line of known_hosts. */
  get hostKey(): string {
    return readFileSync(join(this.#place, 'host.pub'), 'utf8').split(' ').slice(0, 2).join(' ')
  }

  get privateKey(): Buffer {
    return readFileSync(join(this.#place, 'user'))
  }

  /** A key that the server does not take. */
  get strangersKey(): Buffer {
    return readFileSync(join(this.#place, 'stranger'))
  }

  /** A line for an authorized_keys file. */
  authorize(line: (publicKey: string) => string): void {
    writeFileSync(join(this.#place, 'authorized_keys'), `${line(this.#publicKey())}\n`)
  }

  async start(): Promise<void> {
    this.#place = mkdtempSync(join(tmpdir(), 'mk8s-sshd-'))
    mkdirSync(PRIVILEGE_SEPARATION, { recursive: true, mode: 0o755 })
    for (const name of ['host', 'user', 'stranger']) {
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(this.#place, name)])
    }
    this.authorize(key => key)
    this.port = await freePort()
    const config = [
      'ListenAddress 127.0.0.1',
      `Port ${this.port}`,
      `HostKey ${join(this.#place, 'host')}`,
      `AuthorizedKeysFile ${join(this.#place, 'authorized_keys')}`,
      'PidFile none',
      'UsePAM no',
      'StrictModes no',
      'PasswordAuthentication no',
      'PermitRootLogin prohibit-password',
      'MaxStartups 100',
    ]
    writeFileSync(join(this.#place, 'config'), `${config.join('\n')}\n`)
    const child = spawn(SSHD, ['-D', '-e', '-f', join(this.#place, 'config')], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    child.stderr.on('data', text => {
      this.#output = `${this.#output}${text}`.slice(-4_000)
    })
    this.#process = child
    await until('sshd answers', async () => {
      if (child.exitCode !== null) throw new Error(`sshd ended: ${this.#output}`)
      return await answers(this.port)
    })
  }

  async stop(): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child !== undefined && child.exitCode === null) {
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      await ended
    }
    if (this.#place !== '') rmSync(this.#place, { recursive: true, force: true })
  }

  #publicKey(): string {
    return readFileSync(join(this.#place, 'user.pub'), 'utf8').trim()
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function answers(port: number): Promise<boolean> {
  return await new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}
