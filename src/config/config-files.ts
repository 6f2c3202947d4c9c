/**
 * The configuration in a node's directory: `config.yaml` (NodeConfig) and `cluster-init.yaml`, what the
 * daemon puts into an empty store: the ClusterConfig and the manifests to apply.
 */

import { readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { Mk8sError, messageOf, systemCodeOf } from '../base/errors.ts'
import type { KubeObject } from '../kube/object.ts'
import { podNetworks, serviceNetworks } from './cluster-networks.ts'
import {
  CONFIG_API_VERSION,
  type ConfigDocuments,
  parseConfigDocuments,
  parseManifests,
  renderDocuments,
} from './documents.ts'
import type { ClusterConfig, NodeConfig } from './node-config.ts'
import { type ConfigSources, type ResolvedConfig, resolveConfig } from './resolve.ts'

export const nodeConfigPath = (dataDir: string): string => join(dataDir, 'config.yaml')
export const clusterInitPath = (dataDir: string): string => join(dataDir, 'cluster-init.yaml')

export interface ClusterInit {
  readonly cluster: ClusterConfig
  /** To be applied once, in this order, when the cluster is new. */
  readonly manifests: readonly KubeObject[]
}

/** What `config.yaml` records; `node/not-installed` when there is none, `config/unreadable` when it is damaged. */
export function readNodeConfig(dataDir: string): NodeConfig {
  const path = nodeConfigPath(dataDir)
  const recorded = readRecorded(path)
  if (recorded === undefined) throw notInstalled(dataDir)
  const { node } = resolveRecorded(recorded, path)
  const { clusterId, memberId = '', role = 'server', runtimeReason = '' } = recorded.recorded
  if (clusterId === undefined || node.runtime === 'auto')
    throw damaged(path, ['clusterId or runtime is missing'])
  if (!/^[0-9a-f]{1,12}$/.test(memberId) || (role !== 'server' && role !== 'worker'))
    throw damaged(path, ['memberId is no hexadecimal number, or role is neither server nor worker'])
  const recordedParts = { clusterId, memberId: Number.parseInt(memberId, 16), role, runtimeReason } as const
  return Object.freeze({ dataDir, ...recordedParts, ...node, runtime: node.runtime })
}

/** What the first start has to bring into the store. */
export function readClusterInit(dataDir: string): ClusterInit {
  const path = clusterInitPath(dataDir)
  const recorded = readRecorded(path)
  if (recorded === undefined) throw notInstalled(dataDir)
  return { cluster: resolveRecorded(recorded, path).cluster, manifests: recorded.manifests }
}

/** The documents of a recorded file; undefined when there is none. */
export function readRecorded(path: string): ConfigDocuments | undefined {
  const text = readTextIfThere(path)
  if (text === undefined) return undefined
  const documents = parseConfigDocuments(text, path)
  if (documents.problems.length > 0) throw damaged(path, documents.problems)
  return documents
}

/** A user's configuration file, with the manifests that it names read in. */
export function readConfigFile(path: string): ConfigDocuments {
  const text = readTextIfThere(path)
  if (text === undefined) {
    throw new Mk8sError('config/unreadable', `there is no file ${path}`, {
      hint: 'check the path behind --config',
    })
  }
  const documents = parseConfigDocuments(text, path)
  const manifests = [...documents.manifests]
  const problems = [...documents.problems]
  for (const relative of documents.manifestPaths) {
    const named = resolve(dirname(path), relative)
    const content = readTextIfThere(named)
    if (content === undefined) {
      problems.push(`${path}: manifests names ${named}, which is not there`)
      continue
    }
    const parsed = parseManifests(content, named)
    manifests.push(...parsed.objects)
    problems.push(...parsed.problems)
  }
  return { ...documents, manifests, problems }
}

export function renderNodeConfig(config: NodeConfig): string {
  const { clusterId, memberId, role, nodeName, bindAddress, ports, runtime, runtimeReason } = config
  const { criSocket, etcdListen, failureDomain, imagesDirectory, logLevel } = config
  const socket = criSocket === '' ? {} : { criSocket }
  const etcd = etcdListen === 'off' ? {} : { etcd: { listen: etcdListen } }
  const fields = {
    clusterId,
    memberId: memberId.toString(16),
    role,
    nodeName,
    bindAddress,
    ports: { ...ports },
    runtime,
    runtimeReason,
    ...socket,
    ...etcd,
    ...(failureDomain === '' ? {} : { failureDomain }),
    ...(imagesDirectory === undefined ? {} : { imagesDirectory }),
    logLevel,
    ...(config.apiServer === undefined ? {} : { apiServer: { ...config.apiServer } }),
    ...(config.kubelet === undefined ? {} : { kubelet: { ...config.kubelet } }),
    ...(config.scheduler === undefined ? {} : { scheduler: { ...config.scheduler } }),
  }
  return renderDocuments([{ apiVersion: CONFIG_API_VERSION, kind: 'NodeConfig', ...fields }])
}

export function renderClusterInit({ cluster, manifests }: ClusterInit): string {
  const { clusterDomain, nodePortRange, failover, voters } = cluster
  const range = `${nodePortRange.first}-${nodePortRange.last}`
  const fields = {
    serviceCidr: serviceNetworks(cluster).join(','),
    podCidr: podNetworks(cluster).join(','),
    clusterDomain,
    nodePortRange: range,
    failover,
    voters: String(voters),
  }
  return renderDocuments([{ apiVersion: CONFIG_API_VERSION, kind: 'ClusterConfig', ...fields }, ...manifests])
}

function resolveRecorded(recorded: ConfigDocuments, path: string): ResolvedConfig {
  try {
    return resolveConfig({
      flags: {},
      env: {},
      recorded,
      machine: { nodeName: '', bindAddress: '' },
      ...partial(path),
    })
  } catch (error) {
    if (!(error instanceof Mk8sError)) throw error
    throw damaged(path, (error.fields['problems'] as string[] | undefined) ?? [messageOf(error)])
  }
}

/** A file of the cluster says nothing about the node, whose name and address then only have to be valid. */
const partial = (path: string): Partial<Pick<ConfigSources, 'machine'>> =>
  path.endsWith('cluster-init.yaml')
    ? { machine: { nodeName: 'node', bindAddress: '127.0.0.1', bindAddress6: '::1' } }
    : {}

function readTextIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const code = systemCodeOf(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    if (code === 'EACCES') {
      throw new Mk8sError('host/not-root', `${path} may not be read by this user`, {
        hint: 'run the command with sudo',
        cause: error,
      })
    }
    throw new Mk8sError('config/unreadable', `${path} cannot be read`, {
      why: messageOf(error),
      cause: error,
    })
  }
}

const notInstalled = (dataDir: string): Mk8sError =>
  new Mk8sError('node/not-installed', `mk8s is not installed in ${dataDir}`, { hint: 'mk8s install' })

const damaged = (path: string, problems: readonly string[]): Mk8sError =>
  new Mk8sError('config/unreadable', `${path} is damaged`, {
    why: problems.join('\n'),
    hint: 'correct the file, or remove it and install again with the same settings',
    fields: { problems },
  })
