/** `mk8s install`: from nothing to a node that is Ready; again, it repairs what is missing. */
import { systemClock } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import { systemRandom } from '../base/random.ts'
import { Flags, optionFlags } from '../cli/flags.ts'
import type { Installation } from '../cli/installation.ts'
import { runSteps } from '../cli/progress.ts'
import { print, printJson, remark } from '../cli/terminal.ts'
import type { InstallActions } from '../host/carry-out.ts'
import { nodePaths } from '../host/node-files.ts'
import type { RegistriesDocument } from '../kube/registries/registries.ts'
import { lifecycleOf, mustBeRoot, NodeCommand, timeoutFlag } from './base-command.ts'

interface Outcome {
  readonly changed: readonly string[]
}

interface InstallFlags {
  readonly 'data-dir': string
  readonly 'dry-run': boolean
  readonly 'fast-failover': boolean
  readonly json: boolean
  readonly timeout: number
  readonly config?: string | undefined
  readonly registries?: string | undefined
}

export class Install extends NodeCommand {
  static override summary = 'Make this machine a node, or repair it.'
  static override description =
    'Checks the machine, makes certificates, keys and configuration, starts the daemon and waits until the node ' +
    'is Ready. Run again, it makes what is missing, or says that mk8s is already installed.'
  static override examples = [
    '<%= config.bin %> install',
    '<%= config.bin %> install --data-dir /srv/a --bind-address 127.0.0.1 --node-name a',
    '<%= config.bin %> install --config node.yaml --dry-run',
  ]
  static override flags = {
    config: Flags.string({
      char: 'c',
      description: 'A file with NodeConfig, ClusterConfig and manifests to apply at first start.',
      helpValue: 'FILE',
    }),
    registries: Flags.string({
      description: "A registries.yaml as K3s has it, for all nodes of the cluster; see 'mk8s registry add'.",
      helpValue: 'FILE',
    }),
    'dry-run': Flags.boolean({ description: 'Say what would be done, and do nothing.' }),
    'fast-failover': Flags.boolean({ description: 'The same as --failover fast.' }),
    timeout: timeoutFlag('How long to wait until the node is Ready.'),
    ...optionFlags(),
  }

  async run(): Promise<number> {
    const { flags } = await this.parse(Install)
    if (!flags['dry-run']) mustBeRoot('install')
    const dataDir = flags['data-dir']
    const registries = await registriesIn(flags.registries)
    if (flags['dry-run']) return this.#install(flags, registries)
    const { acquireInstallLock } = await import('../host/lock.ts')
    const lock = acquireInstallLock(dataDir)
    try {
      return await this.#install(flags, registries)
    } finally {
      lock.release()
    }
  }

  async #install(flags: InstallFlags, registries?: RegistriesDocument): Promise<number> {
    const dataDir = flags['data-dir']
    const [{ prepareInstallation }, { preflightError }, lifecycle] = await Promise.all([
      import('../cli/installation.ts'),
      import('../host/preflight.ts'),
      lifecycleOf(dataDir),
    ])
    const installation = await prepareInstallation({
      dataDir,
      flags: textsOf({ ...flags, ...(flags['fast-failover'] && { failover: 'fast' }) }),
      env: process.env,
      ...(flags.config !== undefined && { configFile: flags.config }),
      readyTimeoutMs: flags.timeout * 1000,
      service: lifecycle.service,
      clock: systemClock,
      random: systemRandom,
    })
    const problem = preflightError(installation.findings)
    if (problem !== undefined) throw problem
    if (flags['dry-run']) return showPlan(installation, flags)
    if (!flags.json && !installation.installed) showWarnings(installation)
    const outcome = await carryOut(installation, flags)
    if (registries !== undefined) await tellRegistries(flags, registries)
    return showOutcome(installation, outcome, flags)
  }
}

/** What a mistake in the file says is said before anything is made. */
async function registriesIn(file: string | undefined): Promise<RegistriesDocument | undefined> {
  if (file === undefined) return undefined
  const { readRegistriesFile } = await import('./registry/read-file.ts')
  return readRegistriesFile(file)
}

/** They are the cluster's, so that whoever joins later gets them too; and no file of this node has the passwords. */
async function tellRegistries(flags: InstallFlags, document: RegistriesDocument): Promise<void> {
  const [{ inCluster }, { PEOPLE }, { setRegistries }] = await Promise.all([
    import('./registry/in-cluster.ts'),
    import('../kube/registries/registries.ts'),
    import('../client/registries.ts'),
  ])
  await inCluster({ 'data-dir': flags['data-dir'] }, client => setRegistries(client, PEOPLE, document))
}

/** The flags that hold text, which is all that options do. */
function textsOf({ registries: _file, ...flags }: Readonly<Record<string, unknown>>): Record<string, string> {
  const texts = Object.entries(flags).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  )
  return Object.fromEntries(texts)
}

function showWarnings({ findings }: Installation): void {
  for (const { level, message, hint } of findings) {
    if (level === 'warning') remark(`warning: ${message} (${hint})`)
  }
}

async function showPlan(
  { steps, findings, node }: Installation,
  { json }: { json: boolean },
): Promise<number> {
  const { describeStep } = await import('../host/plan.ts')
  if (json) printJson({ node, findings, steps: steps.map(describeStep) })
  else print(['Would:', ...steps.map(step => `- ${describeStep(step)}`)].join('\n'))
  return 0
}

async function carryOut(installation: Installation, { json }: { json: boolean }): Promise<Outcome> {
  const [{ carryOutStep }, { describeStep }] = await Promise.all([
    import('../host/carry-out.ts'),
    import('../host/plan.ts'),
  ])
  const actions = await actionsFor(installation)
  const changed: string[] = []
  const isFresh = !installation.installed
  let started = false
  const steps = installation.steps.map(step => ({
    title: describeStep(step),
    async run() {
      started ||= step.kind === 'start'
      if (await carryOutStep(step, actions)) changed.push(describeStep(step))
    },
  }))
  try {
    await runSteps(steps, { quiet: json || installation.installed })
  } catch (error) {
    if (isFresh && !started) await undo(installation)
    throw error
  }
  return { changed }
}

/** An install that failed before anything ran leaves nothing behind. */
async function undo({ node, service }: Installation): Promise<void> {
  const { rmSync } = await import('node:fs')
  try {
    await service.remove()
    rmSync(node.dataDir, { recursive: true, force: true })
  } catch (error) {
    remark(`what was made in ${node.dataDir} could not be removed: ${messageOf(error)}`)
  }
}

async function actionsFor(installation: Installation): Promise<InstallActions> {
  const { node, service } = installation
  const [{ adminKubeconfig, pkiPartsOf }, { ensurePki, loadPki }, lifecycle] = await Promise.all([
    import('../runtime/pki/node-facts.ts'),
    import('../runtime/pki/pki.ts'),
    import('../client/lifecycle.ts'),
  ])
  const parts = { ...(await lifecycleOf(node.dataDir)), service }
  const means = { clock: systemClock, random: systemRandom }
  let started = false
  let outdated = installation.steps.some(step => step.kind === 'file')
  return {
    async ensureKeys() {
      const report = await ensurePki(pkiPartsOf(node, installation.cluster, means))
      const changed = report.created.length + report.renewed.length > 0
      outdated ||= changed
      return changed
    },
    async restartIfOutdated() {
      if (!outdated) return false
      await lifecycle.stopNode(parts, { workloads: false })
      started = await lifecycle.startNode(parts)
      return true
    },
    async renderKubeconfig() {
      const { authorities, leaves } = await loadPki(nodePaths(node.dataDir).pki)
      return adminKubeconfig(node, { authority: authorities['cluster-ca'].certificate, ...leaves.admin })
    },
    async start() {
      started = await lifecycle.startNode(parts)
    },
    async waitUntilReady(timeoutMs) {
      await lifecycle.waitForStart(parts, { started, timeoutMs })
    },
  }
}

function showOutcome(
  { node, installed }: Installation,
  { changed }: Outcome,
  { json }: { json: boolean },
): number {
  const result = !installed ? 'installed' : changed.length > 0 ? 'repaired' : 'unchanged'
  if (json) {
    const { nodeName, bindAddress, dataDir, clusterId, runtime } = node
    printJson({ result, nodeName, bindAddress, dataDir, clusterId, runtime, changed })
    return 0
  }
  if (result === 'unchanged') print(`mk8s is already installed, and the node ${node.nodeName} is Ready.`)
  else if (result === 'repaired') {
    const did = changed.map(line => `- ${line}`)
    print(
      ['mk8s is already installed; what was missing:', ...did, `The node ${node.nodeName} is Ready.`].join(
        '\n',
      ),
    )
  } else
    print(`mk8s is running: the node ${node.nodeName} is Ready. See the other commands with mk8s --help.`)
  return 0
}
