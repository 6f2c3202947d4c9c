/** From when to when the certificates of a directory are valid, for `refresh-certs --check` and for warnings. */
import { X509Certificate } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Mk8sError, messageOf, systemCodeOf } from '../../base/errors.ts'
import { AUTHORITIES } from './authorities.ts'
import { readIfThere } from './files.ts'
import { certificatesIn, endOf, startOf } from './validity.ts'

export interface CertificateDates {
  /** `apiserver`, `cluster-ca`; others of a bundle are `cluster-ca (earlier)` or `cluster-ca (next)`. */
  readonly name: string
  readonly isAuthority: boolean
  readonly startMs: number
  readonly endMs: number
}

/** Of every certificate there is, authorities first. */
export async function readCertificateDates(directory: string): Promise<readonly CertificateDates[]> {
  const names = (await listDirectory(directory))
    .filter(file => file.endsWith('.crt'))
    .map(file => file.slice(0, -'.crt'.length))
    .sort((a, b) => rankOf(a) - rankOf(b) || (a < b ? -1 : 1))
  const all = await Promise.all(names.map(name => datesOf(directory, name)))
  return all.flat()
}

const isAuthorityName = (name: string): boolean => (AUTHORITIES as readonly string[]).includes(name)
const rankOf = (name: string): number => (isAuthorityName(name) ? 0 : 1)

async function datesOf(directory: string, name: string): Promise<CertificateDates[]> {
  const path = join(directory, `${name}.crt`)
  const pem = (await readIfThere(path)) ?? ''
  try {
    const certificates = certificatesIn(pem).map(block => new X509Certificate(block))
    return certificates.map((certificate, at) => {
      const isNext = certificates.slice(0, at).some(each => startOf(each) < startOf(certificate))
      const remark = at === 0 ? '' : isNext ? ' (next)' : ' (earlier)'
      return {
        name: `${name}${remark}`,
        isAuthority: isAuthorityName(name),
        startMs: startOf(certificate),
        endMs: endOf(certificate),
      }
    })
  } catch (error) {
    throw new Mk8sError('pki/invalid', `${path} cannot be read as a certificate`, { why: messageOf(error) })
  }
}

async function listDirectory(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    const isRoot = systemCodeOf(error) === 'EACCES'
    throw new Mk8sError(isRoot ? 'host/not-root' : 'pki/invalid', `cannot read ${directory}`, {
      why: messageOf(error),
      cause: error,
    })
  }
}
