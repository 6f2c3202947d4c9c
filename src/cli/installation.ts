/**
 * What `mk8s install` works out before it touches anything: the configuration, how it differs from what is
 * installed, the findings about this machine, and the plan.
 */

import { resolve } from 'node:path'
import { must } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { Mk8sError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { networkProblem } from '../config/cluster-networks.ts'
import {
  clusterInitPath,
  nodeConfigPath,
  readConfigFile,
  readRecorded,
  renderClusterInit,
  renderNodeConfig,
} from '../config/config-files.ts'
import type { ConfigDocuments } from '../config/documents.ts'
import type { ClusterConfig, NodeConfig } from '../config/node-config.ts'
import { options } from '../config/options.ts'
import { invalidConfig, type MachineValues, type OptionValue, resolveConfig } from '../config/resolve.ts'
import { loopbackAddress } from '../config/values.ts'
import { lookAtPresent } from '../host/carry-out.ts'
import { CONTAINER_PACKAGES, isRealRuntime } from '../host/container-programs.ts'
import type { Service } from '../host/daemon-service.ts'
import { collectFacts, type FactsWanted, type HostFacts, machineDefaults } from '../host/facts.ts'
import { ADMIN_GROUP, groupId } from '../host/groups.ts'
import { nodePaths } from '../host/node-files.ts'
import { type InstallStep, planInstall, type WantedFile } from '../host/plan.ts'
import { decideRuntime, type Finding, preflight } from '../host/preflight.ts'
import { MANAGER_WORDS } from '../host/service-manager.ts'
import { socketPathMax, system } from '../host/system.ts'

export interface InstallationParts {
  readonly dataDir: string
  readonly flags: Readonly<Record<string, string | undefined>>
  readonly env: Readonly<Record<string, string | undefined>>
  readonly configFile?: string
  readonly readyTimeoutMs: number
  /** It is to join a cluster that exists, which decides what a founder would. */
  readonly joinsAs?: NodeConfig['role']
  /** The server that it asks: this node is found by addresses of the same family, unless something else is said. */
  readonly joinsAt?: string
  /** Settings of a node that was here before, when it makes way for the one that joins. */
  readonly former?: ConfigDocuments
  readonly service: Service
  readonly clock: Clock
  readonly random: Random
}

export interface Installation {
  readonly node: NodeConfig
  readonly cluster: ClusterConfig
  /** A configuration was there before. */
  readonly installed: boolean
  readonly findings: readonly Finding[]
  readonly packages: readonly string[]
  readonly steps: readonly InstallStep[]
  readonly service: Service
}

/** A worker listens on none of these. */
const SERVER_PORTS = ['join', 'raft']

/** Changes nothing. Throws `config/invalid` and `node/already-installed`; findings are for the caller to judge. */
export async function prepareInstallation(parts: InstallationParts): Promise<Installation> {
  const { dataDir, clock, random, service } = parts
  checkDataDir(dataDir)
  const file = parts.configFile === undefined ? undefined : readConfigFile(resolve(parts.configFile))
  const recorded = parts.former ?? readInstalled(dataDir)
  const role = parts.joinsAs ?? 'server'
  if (parts.joinsAs !== undefined) refuseClusterSettings(file)
  const resolved = resolveConfig({
    flags: parts.flags,
    env: parts.env,
    machine: machineFor(parts),
    ...(file !== undefined && { file }),
    ...(recorded !== undefined && { recorded }),
  })
  if (recorded !== undefined && parts.former === undefined)
    refuseDifferences(resolved.values, recorded, dataDir)
  const ports = service.isActive() || parts.former !== undefined ? [] : portsOf(resolved.node, role)
  const mayInstall = ['auto', 'oci', 'containerd'].includes(resolved.node.runtime)
  const facts = await collectFacts({ dataDir, ports, mayInstall, clock })
  const node = completeNode({ dataDir, role, resolved: resolved.node, recorded, facts, random })
  const { cluster } = resolved
  const problem = parts.joinsAs === undefined ? networkProblem(cluster, node.runtime) : undefined
  if (problem !== undefined) throw invalidConfig([problem])
  const manifests = file?.manifests ?? []
  const installed = recorded !== undefined
  const { bindAddress, runtime, criSocket } = node
  const findings = preflight(facts, {
    dataDir,
    bindAddress,
    installed,
    runtime,
    hasCriSocket: criSocket !== '',
  })
  const files = wantedFiles({ node, cluster, manifests, service })
  const packages = packagesFor(node, facts)
  const steps = planSteps(parts, files, packages)
  return { node, cluster, installed, findings, packages, steps, service }
}

/** What a node that joins makes on its disk, once the cluster has given it an identity; `files` come on top. */
export function planJoin(
  parts: InstallationParts,
  node: NodeConfig,
  files: readonly WantedFile[],
): readonly InstallStep[] {
  const wanted = [...files, ...serviceFiles(parts.service), configFile(node)]
  const steps = planSteps(parts, wanted, [])
  // A worker has no credentials of an administrator.
  return node.role === 'worker' ? steps.filter(({ kind }) => kind !== 'kubeconfig') : steps
}

function machineFor({ joinsAt = '' }: InstallationParts): MachineValues {
  const machine = machineDefaults()
  const { bindAddress, bindAddress6 = bindAddress } = machine
  return joinsAt.includes(':') ? { ...machine, bindAddress: bindAddress6 } : machine
}

function refuseClusterSettings(file: ConfigDocuments | undefined): void {
  const keys = options.filter(({ kind, key }) => kind === 'ClusterConfig' && file?.values.has(key))
  if (keys.length === 0) return
  throw invalidConfig(keys.map(({ key }) => `${key} is decided by the cluster that the node joins`))
}

/** Everything that the node will listen on: the API on loopback too. */
function portsOf(
  { bindAddress, ports }: Pick<NodeConfig, 'bindAddress' | 'ports'>,
  role: NodeConfig['role'],
): FactsWanted['ports'] {
  const loopback = loopbackAddress(bindAddress)
  const used = Object.entries(ports).filter(([name]) => role === 'server' || !SERVER_PORTS.includes(name))
  return [
    ...used.map(([name, port]) => ({ name, address: bindAddress, port })),
    ...(loopback === bindAddress ? [] : [{ name: 'api', address: loopback, port: ports.api }]),
  ]
}

function checkDataDir(dataDir: string): void {
  const { adminSocket } = nodePaths(dataDir)
  if (Buffer.byteLength(adminSocket) <= socketPathMax(system)) return
  throw invalidConfig([
    `--data-dir: the path of ${adminSocket} is too long for a unix socket; use a shorter one`,
  ])
}

/** What the files of an earlier install say, together; undefined when there was none. */
function readInstalled(dataDir: string): ConfigDocuments | undefined {
  const node = readRecorded(nodeConfigPath(dataDir))
  if (node === undefined) return undefined
  const cluster = readRecorded(clusterInitPath(dataDir))
  return { ...node, values: new Map([...node.values, ...(cluster?.values ?? [])]) }
}

function refuseDifferences(
  values: ReadonlyMap<string, OptionValue>,
  recorded: ConfigDocuments,
  dataDir: string,
): void {
  const differences = options.flatMap(({ key }) => {
    const { text, origin, place } = must(values.get(key), key)
    const was = recorded.values.get(key)
    const same = was === text || (key === 'runtime' && text === 'auto')
    if (origin === 'default' || origin === 'recorded' || was === undefined || same) return []
    return [`${key} is ${was}, but ${place} says ${text}`]
  })
  if (differences.length === 0) return
  throw new Mk8sError(
    'node/already-installed',
    `mk8s is already installed in ${dataDir} with other settings`,
    {
      why: differences.join('\n'),
      hint: 'leave the setting out to keep it, or run mk8s uninstall first',
      fields: { differences },
    },
  )
}

interface NodeParts {
  readonly dataDir: string
  readonly role: NodeConfig['role']
  readonly resolved: Awaited<ReturnType<typeof resolveConfig>>['node']
  readonly recorded: ConfigDocuments | undefined
  readonly facts: HostFacts
  readonly random: Random
}

function completeNode({ dataDir, role, resolved, recorded, facts, random }: NodeParts): NodeConfig {
  const runtime = decideRuntime(resolved.runtime, facts, resolved.criSocket !== '')
  return Object.freeze({
    dataDir,
    clusterId: recorded?.recorded['clusterId'] ?? random.uuid(),
    memberId: Number.parseInt(recorded?.recorded['memberId'] ?? drawMemberId(random), 16),
    role,
    ...resolved,
    runtime: runtime.name,
    runtimeReason: recorded?.recorded['runtimeReason'] ?? runtime.reason,
  })
}

/** 48 bits, hexadecimal; 0 is nobody. */
function drawMemberId(random: Random): string {
  return Buffer.from(random.bytes(6))
    .toString('hex')
    .replace(/^0{12}$/, '1')
}

function wantedFiles({
  node,
  cluster,
  manifests,
  service,
}: Pick<Installation, 'node' | 'cluster' | 'service'> & {
  manifests: ConfigDocuments['manifests']
}): WantedFile[] {
  const { dataDir } = node
  return [
    ...serviceFiles(service),
    {
      path: clusterInitPath(dataDir),
      mode: 0o600,
      content: renderClusterInit({ cluster, manifests }),
      purpose: "the cluster's configuration",
      keep: true,
    },
    configFile(node),
  ]
}

function serviceFiles({ files, manager }: Service): WantedFile[] {
  const purpose = MANAGER_WORDS[manager].file
  return files.map(file => ({ ...file, keep: false, purpose }))
}

const configFile = (node: NodeConfig): WantedFile => ({
  path: nodeConfigPath(node.dataDir),
  mode: 0o600,
  content: renderNodeConfig(node),
  purpose: "the node's configuration",
  keep: true,
})

/** What is missing on this machine for the runtime that was chosen. */
function packagesFor({ runtime, criSocket }: NodeConfig, { containers }: HostFacts): readonly string[] {
  if (!isRealRuntime(runtime) || containers.missing[runtime].length === 0) return []
  return criSocket === '' ? CONTAINER_PACKAGES[runtime] : ['nftables', 'conntrack']
}

function planSteps(
  { dataDir, readyTimeoutMs, service }: InstallationParts,
  files: readonly WantedFile[],
  packages: readonly string[],
): readonly InstallStep[] {
  const paths = nodePaths(dataDir)
  const adminGroupId = groupId(ADMIN_GROUP)
  const present = lookAtPresent(
    { directories: [dataDir, paths.run], files: files.map(({ path }) => path) },
    service.isActive(),
  )
  return planInstall(
    {
      dataDir,
      runDirectory: paths.run,
      pkiDirectory: paths.pki,
      kubeconfig: paths.kubeconfig,
      files,
      manager: service.manager,
      readyTimeoutMs,
      packages,
      ...(adminGroupId !== undefined && { adminGroupId }),
    },
    present,
  )
}
