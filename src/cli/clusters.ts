/**
 * The clusters that a user manages from another machine: a kubeconfig without a key for each, and the one that is used
 * where none is named. The keys lie in the keychain, or in encrypted files.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { unbracketed } from '../base/bracketed.ts'
import { Mk8sError } from '../base/errors.ts'
import { nearest } from '../base/nearest.ts'
import type { HttpsTransport } from '../client/https-transport.ts'
import { isReachable } from '../client/reachable.ts'
import { makeDirectory, readIfThere, writeFileDurably } from '../host/files.ts'
import { parseYaml, renderYaml } from '../kube/yaml.ts'
import {
  forgetCredential,
  type Kept,
  type KeptParts,
  keepCredential,
  readCredential,
  takeIdentity,
} from './kept-credential.ts'
import {
  type ClientIdentity,
  type ClusterEntry,
  type ContextEntry,
  encodePem,
  transportTo,
} from './kubeconfig.ts'

export interface KnownCluster {
  readonly name: string
  /** As `https://10.0.0.1:16443`. */
  readonly servers: readonly string[]
  /** Of its credential. */
  readonly credential: string
  readonly isUsed: boolean
}

interface Kubeconfig {
  readonly clusters: readonly ClusterEntry[]
  readonly contexts: readonly ContextEntry[]
  readonly users: readonly { readonly user: { readonly exec: { readonly args: readonly string[] } } }[]
  readonly 'current-context': string
}

const NAME = /^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/
/** For a connection to one server, before the next is tried. */
const CONNECT_MS_MAX = 2_000
const ANSWER_MS_MAX = 10_000
const ENDING = '.yaml'

const directoryOf = (directory: string) => join(directory, 'clusters')
const usedPath = (directory: string) => join(directory, 'used-cluster')

/** It holds no key. */
const kubeconfigOf = (name: string, directory: string): string =>
  join(directoryOf(directory), `${checked(name)}${ENDING}`)

/** Asks one of its servers for the version; throws when none takes the kubeconfig. Changes nothing. */
export async function checkKubeconfig(text: string): Promise<void> {
  const { identity, kubeconfig } = takeIdentity(text, '')
  const hint = 'the servers have to be reachable from here; --no-check adds it all the same'
  const { transport, server } = await connectTo(parseYaml(kubeconfig) as Kubeconfig, identity, hint)
  try {
    const signal = AbortSignal.timeout(ANSWER_MS_MAX)
    const { status } = await transport.request({ method: 'GET', path: '/version', signal })
    if (status === 200) return
    const why = `${server.host} answered ${status}`
    throw new Mk8sError('api/refused', 'the cluster does not take the kubeconfig', { why, hint })
  } finally {
    transport.close()
  }
}

/** `text`: a kubeconfig as `mk8s config` prints it. One of that name is replaced only with `replace`. */
export async function addCluster(
  name: string,
  text: string,
  parts: KeptParts & { readonly program: string; readonly replace: boolean },
): Promise<Kept> {
  const path = kubeconfigOf(name, parts.directory)
  const before = listClusters(parts.directory).find(each => each.name === name)
  if (!parts.replace && before !== undefined)
    throw new Mk8sError('refused', `there is a cluster ${name} already`, {
      hint: `mk8s cluster remove ${name}, or add it with --replace`,
    })
  const { name: credential, identity, kubeconfig } = takeIdentity(text, parts.program)
  const kept = await keepCredential(credential, identity, parts)
  makeDirectory(directoryOf(parts.directory), 0o700)
  writeFileDurably(path, kubeconfig, 0o600)
  if (before !== undefined && before.credential !== credential) await forgetUnlessShared(before, parts)
  return kept
}

export function listClusters(directory: string): KnownCluster[] {
  const names = namesIn(directoryOf(directory))
  const used = usedCluster(directory)
  return names.sort().map(name => {
    const config = readKubeconfig(name, directory)
    return { name, servers: serversOf(config), credential: credentialOf(config), isUsed: name === used }
  })
}

/** Its key goes too, unless another cluster's kubeconfig has the same. */
export async function removeCluster(name: string, parts: KeptParts): Promise<void> {
  const known = listClusters(parts.directory)
  const cluster = known.find(each => each.name === name)
  if (cluster === undefined) throw unknownCluster(name, known)
  await forgetUnlessShared(cluster, parts)
  rmSync(kubeconfigOf(name, parts.directory))
  if (cluster.isUsed) rmSync(usedPath(parts.directory), { force: true })
}

/** Another cluster's kubeconfig may have the same key. */
async function forgetUnlessShared({ name, credential }: KnownCluster, parts: KeptParts): Promise<void> {
  const others = listClusters(parts.directory).filter(each => each.name !== name)
  if (!others.some(each => each.credential === credential)) await forgetCredential(credential, parts)
}

/** Null: none. */
export function useCluster(name: string | null, directory: string): void {
  if (name === null) {
    rmSync(usedPath(directory), { force: true })
    return
  }
  const known = listClusters(directory)
  if (!known.some(each => each.name === name)) throw unknownCluster(name, known)
  writeFileDurably(usedPath(directory), `${name}\n`, 0o600)
}

export const usedCluster = (directory: string): string | undefined =>
  readIfThere(usedPath(directory))?.trim() || undefined

export interface OpenCluster {
  readonly transport: HttpsTransport
  readonly server: URL
}

/** A way to the first of its servers that listens. To be closed by the caller. */
export async function openCluster(name: string, parts: KeptParts): Promise<OpenCluster> {
  const config = readKubeconfig(name, parts.directory)
  const identity = await readCredential(credentialOf(config), parts)
  return connectTo(config, identity, `mk8s cluster list shows where ${name} is`)
}

async function connectTo(config: Kubeconfig, identity: ClientIdentity, hint: string): Promise<OpenCluster> {
  const entry = await firstReachable(config)
  return { transport: transportTo(entry, identity, hint), server: new URL(entry.cluster.server) }
}

/** As it is kept, which calls mk8s for the key; with `embed` the key is in it. */
export async function clusterKubeconfig(
  name: string,
  { embed }: { readonly embed: boolean },
  parts: KeptParts,
): Promise<string> {
  const config = readKubeconfig(name, parts.directory)
  if (!embed) return renderYaml(config)
  const { certificate, key } = await readCredential(credentialOf(config), parts)
  const users = config.users.map(user => ({
    ...user,
    user: { 'client-certificate-data': encodePem(certificate), 'client-key-data': encodePem(key) },
  }))
  return renderYaml({ ...config, users })
}

const credentialOf = ({ users }: Kubeconfig): string => users[0]?.user.exec.args.at(-1) ?? ''

/** The kubeconfig for kubectl and helm, which speak to one server: its current context is that of one that listens. */
export async function reachableKubeconfig(name: string, directory: string): Promise<string> {
  const path = kubeconfigOf(name, directory)
  const config = readKubeconfig(name, directory)
  const reached = await firstReachable(config)
  const context = config.contexts.find(each => each.context.cluster === reached.name)?.name
  if (context !== undefined && context !== config['current-context'])
    writeFileDurably(path, renderYaml({ ...config, 'current-context': context }), 0o600)
  return path
}

async function firstReachable(config: Kubeconfig): Promise<ClusterEntry> {
  const ordered = inOrder(config)
  const [first] = ordered
  if (first === undefined) throw new Mk8sError('config/unreadable', 'the kubeconfig names no cluster')
  if (ordered.length === 1) return first
  for (const each of ordered) {
    const { hostname, port } = new URL(each.cluster.server)
    const host = unbracketed(hostname)
    if (await isReachable({ host, port: port === '' ? 443 : Number(port) }, CONNECT_MS_MAX)) return each
  }
  return first
}

/** That of the current context first. */
function inOrder(config: Kubeconfig): ClusterEntry[] {
  const current = config.contexts.find(({ name }) => name === config['current-context'])?.context.cluster
  const isCurrent = ({ name }: ClusterEntry) => name === current
  return [...config.clusters.filter(isCurrent), ...config.clusters.filter(each => !isCurrent(each))]
}

const serversOf = (config: Kubeconfig): string[] => inOrder(config).map(({ cluster }) => cluster.server)

function readKubeconfig(name: string, directory: string): Kubeconfig {
  const text = readIfThere(kubeconfigOf(name, directory))
  if (text === undefined) throw unknownCluster(name, listClusters(directory))
  return parseYaml(text) as Kubeconfig
}

function namesIn(directory: string): string[] {
  if (!existsSync(directory)) return []
  const files = readdirSync(directory).filter(file => file.endsWith(ENDING))
  return files.map(file => file.slice(0, -ENDING.length)).filter(name => NAME.test(name))
}

function unknownCluster(name: string, known: readonly KnownCluster[]): Mk8sError {
  const meant = nearest(
    name,
    known.map(each => each.name),
  )
  const hint = meant === undefined ? 'mk8s cluster list shows those there are' : `did you mean ${meant}?`
  return new Mk8sError('usage', `there is no cluster ${JSON.stringify(name)}`, { hint })
}

function checked(name: string): string {
  if (NAME.test(name)) return name
  throw new Mk8sError('usage', `${JSON.stringify(name)} is no name of a cluster`, {
    why: 'it is made of small letters, digits, - and ., at most 63 of them, with a letter or digit at both ends',
  })
}
