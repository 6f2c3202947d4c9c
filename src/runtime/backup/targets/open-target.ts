/** Opens the target that a URL names. */
import { Mk8sError } from '../../../base/errors.ts'
import { openDirectory } from './directory-target.ts'
import { openS3 } from './s3/s3-target.ts'
import { openRsync } from './ssh/rsync-target.ts'
import { openSsh } from './ssh/ssh-target.ts'
import type { BackupTarget, TargetCredentials, TargetParts } from './target.ts'

type Opener = (url: URL, credentials: TargetCredentials, parts: TargetParts) => BackupTarget

const openers: Readonly<Record<string, Opener>> = {
  file: openDirectory,
  s3: openS3,
  ssh: openSsh,
  rsync: openRsync,
}

/**
 * A plain path is a directory. Nothing is reached yet. Throws `config/invalid` for a URL that can be none of a target
 * and for credentials that it lacks.
 */
export function openTarget(to: string, credentials: TargetCredentials, parts: TargetParts): BackupTarget {
  const url = parseTarget(to)
  const open = openers[schemeOf(url)]
  if (open !== undefined) return open(url, credentials, parts)
  const kinds = Object.keys(openers).map(name => `${name}://`)
  throw invalid(
    to,
    `${schemeOf(url)}:// is no kind of target`,
    `use a directory, or one of ${kinds.join(', ')}`,
  )
}

function parseTarget(to: string): URL {
  if (to.startsWith('/')) return directoryUrl(to)
  const url = URL.parse(to)
  if (url === null)
    throw invalid(
      to,
      'it is neither an absolute path nor a URL',
      'for example /mnt/backups or s3://bucket/prefix',
    )
  if (url.password !== '')
    throw invalid(
      to,
      'it holds a password',
      'put it into a Secret of type mk8s.io/backup-target in kube-system, and name that with --secret',
    )
  return url
}

function directoryUrl(path: string): URL {
  const url = new URL('file:///')
  url.pathname = path.replaceAll('%', '%25')
  return url
}

const schemeOf = (url: URL): string => url.protocol.slice(0, -1)

function invalid(to: string, why: string, hint: string): Mk8sError {
  return new Mk8sError('config/invalid', `backups cannot go to ${withoutPassword(to)}`, { why, hint })
}

const withoutPassword = (to: string): string => to.replace(/:\/\/[^/]*@/, '://…@')
