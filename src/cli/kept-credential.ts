/**
 * The administrator's certificate and key out of the kubeconfig: in the keychain, or in an encrypted file where there
 * is none. `mk8s credential` hands them to kubectl.
 */
import { createHash, X509Certificate } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { Mk8sError, messageOf } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { type Sealed, type SealParts, seal, unseal } from '../host/encrypted-file.ts'
import { makeDirectory, readIfThere, writeFileDurably } from '../host/files.ts'
import type { Keychain } from '../host/keychain.ts'
import { parseYaml, renderYaml } from '../kube/yaml.ts'
import { type ClientIdentity, decodePem } from './kubeconfig.ts'

export interface KeptParts {
  /** The user's configuration. */
  readonly directory: string
  readonly keychain: Keychain
  readonly random: Random
  /** For the encrypted file; undefined takes the machine's key. */
  readonly passphrase: string | undefined
  /** Asks for the passphrase of a file that is under one; undefined: there is nobody to ask. */
  readonly ask: (question: string) => Promise<string | undefined>
}

export const CREDENTIAL_SERVICE = 'mk8s'
const EXEC_VERSION = 'client.authentication.k8s.io/v1'
const NAME = /^[A-Za-z0-9][A-Za-z0-9.-]{0,127}$/

/** Where it is now, and why not in the keychain. */
export type Kept =
  | { readonly place: 'keychain' }
  | { readonly place: Sealed['by']; readonly path: string; readonly why: string }

export async function keepCredential(
  name: string,
  identity: ClientIdentity,
  parts: KeptParts,
): Promise<Kept> {
  const path = pathOf(name, parts)
  const text = JSON.stringify(identity)
  try {
    await parts.keychain.setPassword(CREDENTIAL_SERVICE, name, text)
    // A file of earlier would be believed first.
    rmSync(path, { force: true })
    return { place: 'keychain' }
  } catch (error) {
    const by = parts.passphrase === undefined ? 'machine-key' : 'passphrase'
    makeDirectory(join(parts.directory, 'credentials'), 0o700)
    const sealed = seal(text, { name, by, secret: await secretFor(by, name, parts) }, parts.random)
    writeFileDurably(path, `${JSON.stringify(sealed)}\n`, 0o600)
    return { place: by, path, why: messageOf(error) }
  }
}

/** @throws Mk8sError when there is none of this name. */
export async function readCredential(name: string, parts: KeptParts): Promise<ClientIdentity> {
  const file = readIfThere(pathOf(name, parts))
  const text = file === undefined ? await fromKeychain(name, parts) : await fromFile(name, file, parts)
  return JSON.parse(text) as ClientIdentity
}

/** Forgets it wherever it is; that there is no keychain is no failure. */
export async function forgetCredential(name: string, parts: KeptParts): Promise<void> {
  rmSync(pathOf(name, parts), { force: true })
  await parts.keychain.deletePassword(CREDENTIAL_SERVICE, name).catch(() => false)
}

async function fromFile(name: string, file: string, parts: KeptParts): Promise<string> {
  const sealed = JSON.parse(file) as Sealed
  return unseal(sealed, { name, secret: await secretFor(sealed.by, name, parts) })
}

async function fromKeychain(name: string, { keychain }: KeptParts): Promise<string> {
  const hint = 'mk8s config --keychain keeps it'
  try {
    const text = await keychain.getPassword(CREDENTIAL_SERVICE, name)
    if (text !== null) return text
  } catch (cause) {
    const message = 'the keychain cannot be asked'
    throw new Mk8sError('host/unsupported', message, { why: messageOf(cause), hint, cause })
  }
  throw new Mk8sError('refused', `there is no credential ${name}`, { hint })
}

function pathOf(name: string, { directory }: KeptParts): string {
  if (!NAME.test(name))
    throw new Mk8sError('usage', `${JSON.stringify(name)} is no name of a credential`, {
      hint: 'mk8s config --keychain',
    })
  return join(directory, 'credentials', `${name}.json`)
}

async function secretFor(
  by: SealParts['by'],
  name: string,
  { directory, random, passphrase, ask }: KeptParts,
): Promise<string> {
  if (by === 'machine-key') return machineKey(directory, random)
  const given = passphrase || (await ask(`Passphrase of the credential ${name}: `))
  if (given !== undefined && given !== '') return given
  throw new Mk8sError('refused', 'the credential needs a passphrase', { hint: 'set MK8S_PASSPHRASE' })
}

/** With the machine's own id, so that the two files alone are worth nothing elsewhere. */
function machineKey(directory: string, random: Random): string {
  const path = join(directory, 'machine.key')
  const machine = readIfThere('/etc/machine-id')?.trim() ?? ''
  const there = readIfThere(path)
  if (there !== undefined) return `${there.trim()} ${machine}`
  makeDirectory(directory, 0o700)
  const made = Buffer.from(random.bytes(32)).toString('hex')
  writeFileDurably(path, `${made}\n`, 0o600)
  return `${made} ${machine}`
}

/** What kubectl takes from an exec plugin. Pure. */
export function execCredential({ certificate, key }: ClientIdentity): unknown {
  const { validToDate } = new X509Certificate(certificate)
  return {
    apiVersion: EXEC_VERSION,
    kind: 'ExecCredential',
    status: {
      clientCertificateData: certificate,
      clientKeyData: key,
      expirationTimestamp: validToDate.toISOString().replace(/\.\d+Z$/, 'Z'),
    },
  }
}

interface Kubeconfig {
  readonly clusters: readonly { readonly cluster: Readonly<Record<string, unknown>> }[]
  readonly users: readonly { readonly name: string; readonly user: Readonly<Record<string, unknown>> }[]
}

export interface Taken {
  /** Of the credential: the user, and the cluster by its authority. */
  readonly name: string
  readonly identity: ClientIdentity
  readonly kubeconfig: string
}

/** The identity in a kubeconfig of one user, and that kubeconfig with `mk8s credential` in its place. Pure. */
export function takeIdentity(text: string, program: string): Taken {
  const config = parseYaml(text) as Kubeconfig
  const [user, ...others] = config.users ?? []
  const certificate = decodePem(user?.user['client-certificate-data'])
  const key = decodePem(user?.user['client-key-data'])
  if (user === undefined || others.length > 0 || certificate === '' || key === '') {
    const message = 'the kubeconfig does not hold one user with a certificate and a private key'
    throw new Mk8sError('config/invalid', message, { hint: 'sudo mk8s config prints one' })
  }
  const authority = String(config.clusters[0]?.cluster['certificate-authority-data'] ?? '')
  const sum = createHash('sha256').update(authority).digest('hex').slice(0, 16)
  const name = `${user.name.replaceAll(/[^A-Za-z0-9.-]/g, '-')}-${sum}`
  const exec = {
    apiVersion: EXEC_VERSION,
    command: program,
    args: ['credential', name],
    interactiveMode: 'Never',
    // `mk8s credential` learns from it where to get the next certificate.
    provideClusterInfo: true,
  }
  const kubeconfig = renderYaml({ ...config, users: [{ name: user.name, user: { exec } }] })
  return { name, identity: { certificate, key }, kubeconfig }
}
