/**
 * The index of a repository: which add-ons are in it, with the sum of each one's files, so that one signature over the
 * index vouches for all of them. Pure.
 */
import { createHash, createPublicKey, sign, verify } from 'node:crypto'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import { parseYaml, renderYaml } from '../../kube/yaml.ts'
import { type AddonSource, DEFINITION_FILE, readSource } from './bundle.ts'
import { checkManifests } from './render-manifests.ts'

export const INDEX_FILE = 'index.yaml'
/** The Ed25519 signature of the index's bytes, in base64. */
export const SIGNATURE_FILE = 'index.yaml.sig'

/** By path relative to the repository. */
export type RepositoryFiles = ReadonlyMap<string, Buffer>

interface IndexEntry {
  readonly name: string
  readonly path: string
  readonly sha256: string
}

const ADDONS_MAX = 200
const SAMPLE_FACTS = {
  clusterDomain: 'cluster.local',
  serviceCidr: '10.152.183.0/24',
  podCidr: '10.1.0.0/16',
  dnsAddress: '10.152.183.10',
}

/** The add-ons of a repository whose files are what its index says; throws with everything that is wrong. */
export function readRepositoryFiles(
  files: RepositoryFiles,
  options: { readonly publicKey: string; readonly allowUnsigned: boolean },
): AddonSource[] {
  const index = files.get(INDEX_FILE)
  if (index === undefined)
    throw new Mk8sError('config/invalid', `the repository has no ${INDEX_FILE}`, {
      hint: 'mk8s addons repo index DIRECTORY writes it',
    })
  checkSignature(index, files.get(SIGNATURE_FILE), options)
  const problems: string[] = []
  const sources = parseIndex(index.toString('utf8'), problems).flatMap(entry => {
    try {
      return [readEntry(files, entry)]
    } catch (error) {
      const why = error instanceof Mk8sError && error.why !== undefined ? `: ${error.why}` : ''
      problems.push(`${messageOf(error)}${why}`)
      return []
    }
  })
  if (problems.length === 0) return sources
  throw new Mk8sError('config/invalid', 'the repository cannot be used', { why: problems.join('\n') })
}

function checkSignature(
  index: Buffer,
  signature: Buffer | undefined,
  { publicKey, allowUnsigned }: { readonly publicKey: string; readonly allowUnsigned: boolean },
): void {
  if (publicKey === '') {
    if (allowUnsigned) return
    throw new Mk8sError('refused', 'nobody vouches for this repository', {
      why: 'no key was given that its index is signed with',
      hint: '--key FILE gives it; --allow-unsigned does without',
    })
  }
  if (signature === undefined)
    throw new Mk8sError('refused', 'the index of the repository is not signed', {
      why: `${SIGNATURE_FILE} is missing`,
    })
  const isGood = verify(null, index, readKey(publicKey), Buffer.from(signature.toString('utf8'), 'base64'))
  if (!isGood)
    throw new Mk8sError('refused', 'the index of the repository is not signed with the key that was given', {
      why: `${SIGNATURE_FILE} does not belong to ${INDEX_FILE} and this key`,
    })
}

export function readKey(pem: string): ReturnType<typeof createPublicKey> {
  try {
    const key = createPublicKey(pem)
    if (key.asymmetricKeyType === 'ed25519') return key
  } catch (error) {
    throw new Mk8sError('pki/invalid', 'the key cannot be read', { why: messageOf(error), cause: error })
  }
  throw new Mk8sError('pki/invalid', 'the key is no Ed25519 key', {
    hint: 'openssl genpkey -algorithm ed25519 -out key.pem; openssl pkey -in key.pem -pubout -out key.pub',
  })
}

function parseIndex(text: string, problems: string[]): IndexEntry[] {
  let value: unknown
  try {
    value = parseYaml(text)
  } catch (error) {
    problems.push(`${INDEX_FILE} is not YAML: ${messageOf(error)}`)
    return []
  }
  const addons = (value as { addons?: unknown } | null)?.addons
  if (!Array.isArray(addons) || addons.length > ADDONS_MAX) {
    problems.push(`${INDEX_FILE}: addons: has to be a list of at most ${ADDONS_MAX}`)
    return []
  }
  return addons.flatMap((entry: Partial<IndexEntry> | null, at) => {
    const { name, path, sha256 } = entry ?? {}
    const isWhole = [name, path, sha256].every(field => typeof field === 'string' && field !== '')
    if (!isWhole) problems.push(`${INDEX_FILE}: addons[${at}]: needs name, path and sha256`)
    return isWhole ? [entry as IndexEntry] : []
  })
}

function readEntry(files: RepositoryFiles, { name, path, sha256 }: IndexEntry): AddonSource {
  const own = filesBelow(files, path)
  if (own.size === 0) throw new Error(`${path} is empty, or missing`)
  if (sumOf(own) !== sha256) throw new Error(`${path}: its files are not those that the index vouches for`)
  const texts = [...own].map(([file, bytes]) => [file, textOf(file, bytes)] as const)
  const source = readSource(Object.fromEntries(texts), path)
  if (source.definition.name !== name)
    throw new Error(`${path}: is called ${source.definition.name}, not ${name}`)
  if (source.definition.default || source.definition.always !== '')
    throw new Error(`${path}: default and always are for built-in add-ons`)
  checkManifests({ ...source, facts: SAMPLE_FACTS })
  return source
}

/** Charts in archives are no text. */
const textOf = (file: string, bytes: Buffer): string =>
  bytes.toString(file.endsWith('.tgz') ? 'base64' : 'utf8')

function filesBelow(files: RepositoryFiles, path: string): Map<string, Buffer> {
  const prefix = `${path.replace(/\/+$/, '')}/`
  const own = [...files].filter(([file]) => file.startsWith(prefix))
  return new Map(own.map(([file, bytes]) => [file.slice(prefix.length), bytes]))
}

const sha256Of = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex')

/** Of a directory: of the sums and names of its files. */
function sumOf(files: ReadonlyMap<string, Buffer>): string {
  const lines = [...files].map(([file, bytes]) => `${sha256Of(bytes)}  ${file}\n`)
  return sha256Of(lines.sort().join(''))
}

/** The index of these files: every directory that has an addon.yaml. */
export function renderIndex(files: RepositoryFiles): string {
  const found = [...files.keys()].filter(file => file.endsWith(`/${DEFINITION_FILE}`)).sort()
  const addons = found.map(file => {
    const path = file.slice(0, -DEFINITION_FILE.length - 1)
    const own = filesBelow(files, path)
    const text = must(own.get(DEFINITION_FILE))
    const { name, version, description } = readSource({ [DEFINITION_FILE]: text }, path).definition
    return { name, version, description, path, sha256: sumOf(own) }
  })
  return renderYaml({ apiVersion: 'addons.mk8s.io/v1', kind: 'AddonRepository', addons })
}

const must = (bytes: Buffer | undefined): string => (bytes ?? Buffer.alloc(0)).toString('utf8')

export const signIndex = (index: string, privateKeyPem: string): string =>
  `${sign(null, Buffer.from(index), privateKeyPem).toString('base64')}\n`
