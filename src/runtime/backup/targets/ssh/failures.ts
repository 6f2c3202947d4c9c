/** What went wrong with ssh, or with what it ran, in words (pure). */
import { Mk8sError } from '../../../../base/errors.ts'
import type { SshPlace } from './place.ts'

/** Exit codes of our own scripts, which no program on the way uses. */
export const NO_DIRECTORY = 43
export const NOT_WHOLE = 45
export const NO_FILE = 46
/** That of ssh itself. */
const SSH_FAILED = 255
const NOT_FOUND = 127
const TEXT_LENGTH_MAX = 500

interface Rule {
  readonly said: RegExp
  readonly why: string
  readonly hint: string
}

const UNREACHED = new RegExp(
  [
    'Could not resolve',
    'Connection (refused|timed out|reset|closed)',
    'No route to host|unreachable',
    'Timeout, server|banner exchange',
  ].join('|'),
  'i',
)

const rules: readonly Rule[] = [
  {
    said: /Failed to exec ssh/,
    why: 'ssh is not installed on this server, which leads',
    hint: 'install it: apt-get install openssh-client',
  },
  {
    said: /REMOTE HOST IDENTIFICATION HAS CHANGED|host key .* has changed/i,
    why: 'the host shows another key than the one that is known',
    hint: 'find out why before you put the new key into the Secret as known-hosts',
  },
  {
    said: /Host key verification failed|host key is known/i,
    why: 'the key of the host is not among those that are known',
    hint: 'put the line of ssh-keyscan into the Secret as known-hosts, after comparing it on the host',
  },
  {
    said: /Permission denied \(/,
    why: 'the host does not take the key of the Secret for this user',
    hint: 'add its public half to ~/.ssh/authorized_keys of that user',
  },
  {
    said: /No space left|Disk quota exceeded/i,
    why: 'the disk there is full',
    hint: 'make room there, or keep fewer backups',
  },
  {
    said: UNREACHED,
    why: 'the host cannot be reached',
    hint: 'look whether its SSH server runs and can be reached from the server that leads',
  },
  {
    said: /error in libcrypto|invalid format|Load key/i,
    why: 'ssh cannot read the private key of the Secret',
    hint: 'write it anew with --from-file=ssh-private-key=FILE',
  },
]

export interface ProgramEnd {
  readonly exitCode: number
  readonly stderr: string
  /** It took too long. */
  readonly stalled: boolean
}

export function sshFailure(place: SshPlace, what: string, end: ProgramEnd): Mk8sError {
  return new Mk8sError('backup/target', `${place.shown}: ${what} failed`, {
    ...wordsOf(place, end),
    fields: { exitCode: end.exitCode },
  })
}

function wordsOf(place: SshPlace, { exitCode, stderr, stalled }: ProgramEnd): { why: string; hint: string } {
  const text = stderr
    .trim()
    .replaceAll(/\s*[\r\n]+\s*/g, '; ')
    .slice(-TEXT_LENGTH_MAX)
  if (stalled) return { why: 'nothing moved for too long', hint: 'look at the host and at its disk' }
  const rule = rules.find(({ said }) => said.test(stderr))
  if (rule !== undefined) return { why: `${rule.why} (${text})`, hint: rule.hint }
  if (exitCode === NO_DIRECTORY || /change_dir .*failed|No such file or directory/.test(stderr)) {
    return {
      why: `there is no directory ${place.path} on the host, or the user may not enter it`,
      hint: 'make it there; it is never made by itself, because a disk may not be mounted',
    }
  }
  if (exitCode === NOT_WHOLE) {
    return { why: 'what arrived is not what was sent', hint: 'look at the disk of the host' }
  }
  if (exitCode === NOT_FOUND) {
    return { why: `the host lacks a program (${text})`, hint: 'install it there' }
  }
  const said = text === '' ? `exit code ${exitCode}` : text
  const why = exitCode === SSH_FAILED ? `ssh says: ${said}` : `the host says: ${said}`
  return { why, hint: 'try the same with ssh by hand' }
}
