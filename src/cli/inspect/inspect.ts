/** Puts a support bundle together: collects, decides what is wrong, takes the secrets out, writes one file. */
import { chmodSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Clock } from '../../base/clock.ts'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import { renderTar } from '../../base/tar.ts'
import { createAdminClient } from '../../client/admin-client.ts'
import type { NodeStatus } from '../../client/node-status.ts'
import { readClusterInit, readNodeConfig } from '../../config/config-files.ts'
import type { NodeConfig } from '../../config/node-config.ts'
import { GIT_VERSION, MK8S_VERSION } from '../../config/version.ts'
import { collectFacts } from '../../host/facts.ts'
import { nodePaths, readFailure } from '../../host/node-files.ts'
import { type Finding, preflight } from '../../host/preflight.ts'
import type { Event, KubeObject } from '../../kube/types.ts'
import { findWhatIsWrong, type InspectFinding, renderFindings } from './findings.ts'
import { type ClusterDump, readCluster } from './read-cluster.ts'
import {
  hostFacts,
  memoryAvailable,
  readCertificates,
  readKeys,
  readLogFacts,
  readSizes,
  readTail,
} from './read-node.ts'
import { createRedactor, redactObject, secretValues } from './redact.ts'

const ROOT = 'inspection-report'
const PRIVATE = 0o600

export interface InspectParts {
  readonly dataDir: string
  /** Where the bundle goes; absent: into the directory that the command runs in. */
  readonly output: string | undefined
  readonly clock: Clock
}

export interface Inspection {
  readonly findings: readonly InspectFinding[]
  readonly report: string
  /** Writes the bundle; the findings are worth showing even when that fails. */
  readonly write: () => Promise<void>
}

export async function inspectNode({ dataDir, output, clock }: InspectParts): Promise<Inspection> {
  const nowMs = clock.now()
  const paths = nodePaths(dataDir)
  const { config, problem: configProblem } = readConfig(dataDir)
  const { status, noStatus } = await readStatus(dataDir)
  const dump = config !== null && status !== null ? await readCluster(config, paths.pki) : null
  const log = readTail(paths.log)
  const certificates = readCertificates(paths.pki)
  const findings = findWhatIsWrong({
    nowMs,
    status,
    noStatus,
    configProblem,
    preflight: await checkHost(dataDir, config, { runs: status !== null, clock }),
    memoryAvailableBytes: memoryAvailable(),
    certificates,
    log: readLogFacts(log, nowMs),
    apiProblem: dump?.problem,
    events: (dump?.objects.get('events') ?? []) as Event[],
  })
  const redact = createRedactor(secretsOf(dump, paths.pki))
  const files = new Map<string, unknown>([
    ['findings.txt', renderFindings(findings)],
    ['findings.json', findings],
    ['status.json', status ?? { running: false, ...noStatus }],
    ['versions.json', { mk8s: MK8S_VERSION, kubernetes: GIT_VERSION, node: process.version }],
    ['config.json', { node: config, ...readInit(dataDir) }],
    ['host.json', hostFacts()],
    ['certificates.json', certificates.map(renderCertificate)],
    ['datastore.json', { status: status?.datastore ?? null, files: readSizes(`${dataDir}/datastore`) }],
    ['daemon.log', log],
    ...dumpFiles(dump),
  ])
  const report = output ?? `${ROOT}-${stamp(nowMs)}.tar.gz`
  return {
    findings: findings.map(finding => clean(finding, redact)),
    report,
    write: () => writeBundle(report, files, { redact, nowMs }),
  }
}

/** Not installed at all is an error of the command; a damaged file is a finding. */
function readConfig(dataDir: string): { config: NodeConfig | null; problem: string } {
  try {
    return { config: readNodeConfig(dataDir), problem: '' }
  } catch (error) {
    if (!(error instanceof Mk8sError) || error.code !== 'config/unreadable') throw error
    return { config: null, problem: `${error.message}: ${error.why ?? ''}` }
  }
}

interface StatusAnswer {
  readonly status: NodeStatus | null
  readonly noStatus: { readonly message: string; readonly next: string }
}

async function readStatus(dataDir: string): Promise<StatusAnswer> {
  try {
    const status = await createAdminClient(nodePaths(dataDir).adminSocket).status()
    return { status, noStatus: { message: '', next: '' } }
  } catch (error) {
    const failure = readFailure(dataDir)
    const known = failure ?? (error instanceof Mk8sError ? error : undefined)
    const why = known?.why === undefined ? '' : `: ${known.why}`
    const message = `${messageOf(error)}${failure === undefined ? '' : `: ${failure.message}`}${why}`
    return { status: null, noStatus: { message, next: known?.hint ?? 'mk8s start' } }
  }
}

/** The ports are the daemon's own while it runs. */
async function checkHost(
  dataDir: string,
  config: NodeConfig | null,
  { runs, clock }: { readonly runs: boolean; readonly clock: Clock },
): Promise<readonly Finding[]> {
  const address = config?.bindAddress ?? ''
  const ports =
    config === null || runs
      ? []
      : Object.entries(config.ports).map(([name, port]) => ({ name, address, port }))
  const facts = await collectFacts({ dataDir, ports, clock })
  return preflight(facts, {
    dataDir,
    bindAddress: address,
    installed: true,
    runtime: config?.runtime ?? 'process',
    hasCriSocket: (config?.criSocket ?? '') !== '',
  })
}

/** The cluster's settings, and the names alone of the manifests, which may hold anything. */
function readInit(dataDir: string): object {
  try {
    const { cluster, manifests } = readClusterInit(dataDir)
    return { cluster, manifests: manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`) }
  } catch (error) {
    return { cluster: messageOf(error) }
  }
}

function secretsOf(dump: ClusterDump | null, pkiDirectory: string): string[] {
  return [...readKeys(pkiDirectory), ...(dump?.objects.get('secrets') ?? []).flatMap(secretValues)]
}

const renderCertificate = ({
  name,
  subject,
  validFromMs,
  validToMs,
}: ReturnType<typeof readCertificates>[0]) => ({
  name,
  subject,
  validFrom: timeText(validFromMs),
  validTo: timeText(validToMs),
})

const timeText = (ms: number): string => (Number.isNaN(ms) ? 'unreadable' : new Date(ms).toISOString())

function dumpFiles(dump: ClusterDump | null): [string, unknown][] {
  if (dump === null) return []
  const files = [...dump.objects].map(([resource, objects]): [string, unknown] => [
    `cluster/${resource}.json`,
    objects.map((object: KubeObject) => redactObject(object)),
  ])
  return dump.truncated.length === 0 ? files : [...files, ['cluster/truncated.json', dump.truncated]]
}

const clean = (finding: InspectFinding, redact: (text: string) => string): InspectFinding => ({
  ...finding,
  message: redact(finding.message),
})

/** `20260501_120000`, in UTC. */
const stamp = (ms: number): string =>
  new Date(ms).toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '_')

async function writeBundle(
  path: string,
  files: ReadonlyMap<string, unknown>,
  { redact, nowMs }: { readonly redact: (text: string) => string; readonly nowMs: number },
): Promise<void> {
  const entries = [...files].map(([name, content]) => {
    const text = typeof content === 'string' ? content : `${JSON.stringify(content, null, 2)}\n`
    return {
      type: 'file' as const,
      name: `${ROOT}/${name}`,
      mode: PRIVATE,
      content: Buffer.from(redact(text)),
    }
  })
  const bytes = await promisify(gzip)(renderTar(entries, { modifiedMs: nowMs, owner: 'root' }))
  const temporary = `${path}.${process.pid}.new`
  try {
    writeFileSync(temporary, bytes, { mode: PRIVATE, flag: 'wx' })
    chmodSync(temporary, PRIVATE)
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw new Mk8sError('host/disk', `the bundle ${path} cannot be written`, {
      why: messageOf(error),
      hint: 'choose another file with --output',
      cause: error,
    })
  }
}
