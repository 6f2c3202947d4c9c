/**
 * A directory of another machine as a backup target, by rsync over SSH: for hosts that let a key do nothing but rsync.
 * rsync itself writes under another name, compares a checksum of the whole file, and renames. It sends files only, so
 * that a backup lies in a private directory first.
 */
import { createReadStream } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { bracketed } from '../../../../base/bracketed.ts'
import { Mk8sError } from '../../../../base/errors.ts'
import { type ProgramResult, runProgram } from '../../../../host/programs.ts'
import { writeFileWhole } from '../../output.ts'
import {
  type BackupTarget,
  mustBeFileName,
  PART_SUFFIX,
  probeTarget,
  type TargetCredentials,
  type TargetFile,
  type TargetParts,
} from '../target.ts'
import { type ProgramEnd, sshFailure } from './failures.ts'
import { parseSshPlace, type SshPlace } from './place.ts'
import { openSession, readIdentity, type SshIdentity, type SshSession } from './session.ts'

/** Seconds without a byte. */
const STALL_SECONDS = 120
/** A whole file, however slow the line. */
const TRANSFER_MS = 6 * 3_600_000
const LIST_MS = 300_000
/** `-rw-------  1234 2026/11/22 17:00:00 name` */
const LINE = /^-\S+\s+(\d+) (\d{4})\/(\d\d)\/(\d\d) (\d\d:\d\d:\d\d) (.+)$/
/** What rsync calls a file while it writes it. */
const UNFINISHED = /^\.(.+\.[A-Za-z0-9]{6})$/

export function openRsync(url: URL, credentials: TargetCredentials, parts: TargetParts): BackupTarget {
  const place = parseSshPlace(url)
  if (!/^[A-Za-z0-9._/=+@,-]+$/.test(place.path)) {
    throw new Mk8sError('config/invalid', `backups cannot go to ${place.shown}`, {
      why: 'not every rsync takes that path as it stands',
      hint: 'use a path of letters, digits and ._=+@,- or ssh:// in place of rsync://',
    })
  }
  return new RsyncTarget(place, readIdentity(credentials, place), parts)
}

class RsyncTarget implements BackupTarget {
  readonly url: string
  readonly #place: SshPlace
  readonly #identity: SshIdentity
  readonly #parts: TargetParts

  constructor(place: SshPlace, identity: SshIdentity, parts: TargetParts) {
    this.url = place.shown
    this.#place = place
    this.#identity = identity
    this.#parts = parts
  }

  async put(
    name: string,
    bytes: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<{ readonly bytes: number }> {
    mustBeFileName(name)
    return await this.#inSession(async session => {
      const file = join(session.directory, name)
      await writeFileWhole(file, bytes, { force: true })
      const { size } = await stat(file)
      const send = ['--ignore-times', '--whole-file', '--chmod=F600', file, this.#remote(name)]
      const what = `writing ${name}`
      // Versions before 3.2.3 and restricted ones do not know how to flush.
      const flushed = await this.#run(session, ['--fsync', ...send], TRANSFER_MS, signal)
      const refused = flushed.exitCode !== 0 && /fsync/.test(flushed.stderr)
      this.#mustBeGood(refused ? await this.#run(session, send, TRANSFER_MS, signal) : flushed, what)
      return { bytes: size }
    })
  }

  async list(signal: AbortSignal): Promise<readonly TargetFile[]> {
    const options = ['--list-only', '--no-human-readable', this.#remote('')]
    const { stdout } = await this.#inSession(async session =>
      this.#mustBeGood(await this.#run(session, options, LIST_MS, signal), 'listing what is there'),
    )
    return stdout.split('\n').flatMap(line => {
      const [, bytes, year, month, day, time, name] = LINE.exec(line) ?? []
      if (name === undefined) return []
      const modifiedMs = Date.parse(`${year}-${month}-${day}T${time}Z`)
      return [{ name: listedName(name), bytes: Number(bytes), modifiedMs }]
    })
  }

  /** rsync removes what is at the target and not here: of all names, those that are included. */
  async remove(name: string, signal: AbortSignal): Promise<void> {
    mustBeFileName(name)
    await this.#inSession(async session => {
      const nothing = join(session.directory, 'nothing')
      await mkdir(nothing)
      const names = [...new Set([name, nameThere(name)])].map(one => `--include=/${one}`)
      const options = ['-r', '--delete', ...names, '--exclude=*', `${nothing}/`, this.#remote('')]
      this.#mustBeGood(await this.#run(session, options, LIST_MS, signal), `removing ${name}`)
    })
  }

  async check(signal: AbortSignal): Promise<void> {
    await probeTarget(this, this.#parts.random, signal)
  }

  async *get(name: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    mustBeFileName(name)
    const session = await openSession(this.#place, this.#identity, this.#parts.clock)
    try {
      const file = join(session.directory, name)
      const result = await this.#run(session, ['--whole-file', this.#remote(name), file], TRANSFER_MS, signal)
      if (/link_stat .*No such file/.test(result.stderr)) {
        const why = 'there is no such file'
        throw new Mk8sError('config/unreadable', `cannot read ${name} of ${this.url}`, { why })
      }
      this.#mustBeGood(result, `reading ${name}`)
      yield* createReadStream(file, { signal }) as AsyncIterable<Buffer>
    } finally {
      await session.close()
    }
  }

  #remote(name: string): string {
    const { user, host, path } = this.#place
    return `${user}@${bracketed(host)}:${path}/${name}`
  }

  async #run(
    session: SshSession,
    args: readonly string[],
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<ProgramResult> {
    const shell = ['ssh', ...session.options].map(quoteForRsync).join(' ')
    return await runProgram('rsync', [`--timeout=${STALL_SECONDS}`, ...args], {
      accept: 'any',
      cleanEnvironment: true,
      env: { ...session.env, RSYNC_RSH: shell },
      timeoutMs,
      signal,
    })
  }

  #mustBeGood(result: ProgramResult, what: string): ProgramResult {
    if (result.exitCode === 0) return result
    const end: ProgramEnd = { ...result, stalled: result.timedOut || /timeout in data/.test(result.stderr) }
    throw sshFailure(this.#place, what, end)
  }

  async #inSession<T>(use: (session: SshSession) => Promise<T>): Promise<T> {
    const session = await openSession(this.#place, this.#identity, this.#parts.clock)
    try {
      return await use(session)
    } finally {
      await session.close()
    }
  }
}

/** `.a.mk8s.x1y2z3`, which rsync was writing, is `a.mk8s.x1y2z3.part`. */
function listedName(name: string): string {
  const unfinished = UNFINISHED.exec(name)?.[1]
  return unfinished === undefined ? name : `${unfinished}${PART_SUFFIX}`
}

function nameThere(name: string): string {
  if (!name.endsWith(PART_SUFFIX)) return name
  const hidden = `.${name.slice(0, -PART_SUFFIX.length)}`
  return UNFINISHED.test(hidden) ? hidden : name
}

/** rsync takes its remote shell apart at spaces that are not between quotes. */
const quoteForRsync = (word: string): string =>
  /^[A-Za-z0-9_/.=:-]+$/.test(word) ? word : `'${word.replaceAll("'", "''")}'`
