/**
 * The steps of a join, and their way back: whatever fails, and wherever it is interrupted, the cluster and this
 * machine are as they were before, and the token is as good as it was.
 */
import { existsSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { abortable } from '../base/abortable.ts'
import { must } from '../base/assert.ts'
import { sleepAlive, systemClock } from '../base/clock.ts'
import { Mk8sError, messageOf } from '../base/errors.ts'
import { systemRandom } from '../base/random.ts'
import { type Installation, type InstallationParts, planJoin } from '../cli/installation.ts'
import type { FoundToken } from '../cli/join-token.ts'
import type { ProgressStep } from '../cli/progress.ts'
import { remark } from '../cli/terminal.ts'
import { startNode, stopNode, waitUntilReady } from '../client/lifecycle.ts'
import { networkProblem } from '../config/cluster-networks.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { GIT_VERSION, MK8S_VERSION } from '../config/version.ts'
import { carryOutStep, type InstallActions } from '../host/carry-out.ts'
import { makeDirectory, writeFileDurably } from '../host/files.ts'
import { nodePaths, readFailure } from '../host/node-files.ts'
import { installPackages } from '../host/packages.ts'
import { makePrivate } from '../host/private-directory.ts'
import { removeNodeDirectory } from '../host/remove.ts'
import type { Authority, JoinClient } from '../runtime/join/join-client.ts'
import { attemptFilePath, joinFilePath, renderJson } from '../runtime/join/join-file.ts'
import { makeWorkerKeys, writeServerKeys, writeWorkerPki } from '../runtime/join/join-pki.ts'
import { type AttemptState, JOIN_PROTOCOL, type JoinAnswer } from '../runtime/join/protocol.ts'
import type { MemberAddress, MemberRole } from '../runtime/members/member-record.ts'
import { adminKubeconfig, pkiPartsOf } from '../runtime/pki/node-facts.ts'
import { ensurePki, loadPki } from '../runtime/pki/pki.ts'
import { ENTRY_FORMAT_VERSION } from '../runtime/raft/entry.ts'
import { lifecycleOf, type NodeLifecycle } from './base-command.ts'
import type { SafetyCopy } from './present-node.ts'

export interface JoiningParts {
  readonly installation: Installation
  readonly installationParts: InstallationParts
  readonly client: JoinClient
  readonly server: MemberAddress
  readonly authority: Authority
  readonly token: FoundToken
  /** Moves a node away that was here before; asked for once the token has proven good. */
  readonly makeWay: (() => Promise<SafetyCopy>) | undefined
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

export interface Joined {
  readonly node: NodeConfig
  /** Null for a worker. */
  readonly role: MemberRole | null
  /** Where what was here before is kept. */
  readonly safetyCopy: string | null
}

const POLL_MS = 20
const RETRY_MS = 100
/** A role that is held for so long is kept, although a better one would be free: nobody is fit for it. */
const STEADY_MS = 4_000
/** How long the cluster may take to hear that it is over. */
const ABORT_MS_MAX = 15_000

export class Joining {
  readonly #parts: JoiningParts
  readonly #deadline: number
  readonly #hadDirectory: boolean
  #answer: JoinAnswer | undefined
  #copy: SafetyCopy | undefined
  #lifecycle: NodeLifecycle | undefined
  #wrote = false
  #started = false
  #role: MemberRole | null = null

  constructor(parts: JoiningParts) {
    this.#parts = parts
    this.#deadline = systemClock.monotonic() + parts.timeoutMs
    this.#hadDirectory = parts.makeWay === undefined && existsSync(parts.installation.node.dataDir)
  }

  get joined(): Joined {
    return { node: this.#node(), role: this.#role, safetyCopy: this.#copy?.path ?? null }
  }

  steps(): readonly ProgressStep[] {
    const { makeWay, installation } = this.#parts
    const { packages, node } = installation
    const step = (title: string, run: () => Promise<void>): ProgressStep => ({
      title,
      run: async () => {
        this.#parts.signal.throwIfAborted()
        await run()
      },
    })
    return [
      ...(packages.length === 0
        ? []
        : [step(`install the packages ${packages.join(', ')}`, () => installPackages(packages))]),
      step('show the token, and get a place in the cluster', () => this.#begin()),
      ...(makeWay === undefined
        ? []
        : [step('move the node away that was here before', () => this.#makeWay(makeWay))]),
      ...(node.role === 'worker'
        ? [step('become a worker of the cluster', () => this.#certify())]
        : [step('make certificates and keys', () => this.#makeKeys())]),
      step('write the configuration', () => this.#write()),
      step('start the daemon', () => this.#start()),
      ...(node.role === 'worker' ? [] : [step('become a member of the datastore', () => this.#commit())]),
      step(
        node.role === 'worker'
          ? 'wait until the node is Ready'
          : 'wait until the node holds its role and is Ready',
        () => this.#wait(),
      ),
    ]
  }

  #node(): NodeConfig {
    const { node } = this.#parts.installation
    if (this.#answer === undefined) return node
    const { clusterId, memberId } = this.#answer
    return Object.freeze({ ...node, clusterId, memberId: Number.parseInt(memberId, 16) })
  }

  #answered(): JoinAnswer {
    return must(this.#answer, 'a place in the cluster')
  }

  /** Not cut short by a signal: what the cluster has reserved must be known, to be given back. */
  async #begin(): Promise<void> {
    const { client, token, installation } = this.#parts
    const { nodeName: name, role, bindAddress: address, ports, failureDomain } = installation.node
    this.#answer = await client.begin({
      protocol: JOIN_PROTOCOL,
      token: token.text,
      tokenWasShown: token.wasShown,
      versions: { mk8s: MK8S_VERSION, kubernetes: GIT_VERSION, entry: ENTRY_FORMAT_VERSION },
      timeMs: systemClock.now(),
      node: { name, role, address, ports, failureDomain },
    })
    const problem = networkProblem(this.#answer.cluster, installation.node.runtime)
    if (problem !== undefined)
      throw new Mk8sError('refused', problem, { hint: 'choose another runtime: --runtime oci' })
    client.alsoAsk(this.#answer.members.map(({ joinAddress }) => joinAddress))
  }

  async #makeWay(makeWay: () => Promise<SafetyCopy>): Promise<void> {
    this.#copy = await makeWay()
  }

  /** Before anything else, so that whoever finds this directory knows what became of it. */
  async #writeAttempt(stage: 'reserved' | 'committing'): Promise<void> {
    const { server, authority, installation } = this.#parts
    const { attempt, members } = this.#answered()
    const { dataDir } = installation.node
    this.#wrote = true
    await makePrivate(dataDir, 0o700)
    const servers = [server, ...members.map(({ joinAddress }) => joinAddress)]
    const file = { attempt, servers, fingerprint: authority.fingerprint, stage }
    writeFileDurably(attemptFilePath(dataDir), renderJson(file), 0o600)
  }

  async #makeKeys(): Promise<void> {
    await this.#writeAttempt('reserved')
    const { keys, cluster } = this.#answered()
    const node = this.#node()
    await writeServerKeys(nodePaths(node.dataDir).pki, must(keys, 'keys in the answer to a server'))
    await ensurePki(pkiPartsOf(node, cluster, { clock: systemClock, random: systemRandom }))
  }

  /** A worker's token is consumed before the worker is given any credentials. */
  async #certify(): Promise<void> {
    const { client, authority, installation } = this.#parts
    const { keys, publicKeys } = makeWorkerKeys()
    await this.#writeAttempt('committing')
    const { attempt } = this.#answered()
    const { certificates, authorities } = await this.#insist(() => client.commit(attempt, { publicKeys }))
    const directory = nodePaths(installation.node.dataDir).pki
    await writeWorkerPki(directory, {
      authority: authorities ?? authority.certificate,
      ...{ keys, certificates },
    })
  }

  async #write(): Promise<void> {
    const { installationParts, installation } = this.#parts
    const { clusterId, cluster, members } = this.#answered()
    const node = this.#node()
    const file = {
      path: joinFilePath(node.dataDir),
      mode: 0o600,
      content: renderJson({ clusterId, cluster, members }),
      purpose: 'what is known of the cluster',
      keep: false,
    }
    const late = ['start', 'restart', 'ready', 'keys']
    const steps = planJoin(installationParts, node, [file]).filter(({ kind }) => !late.includes(kind))
    const actions = fileActions({ ...installation, node })
    for (const step of steps) await carryOutStep(step, actions)
  }

  async #start(): Promise<void> {
    const { dataDir, role } = this.#node()
    this.#lifecycle = { ...(await lifecycleOf(dataDir)), service: this.#parts.installation.service }
    this.#started = true
    await startNode(this.#lifecycle)
    if (role === 'server') await this.#waitForListener()
  }

  async #waitForListener(): Promise<void> {
    const { bindAddress, ports, dataDir } = this.#node()
    while (!(await accepts(bindAddress, ports.raft))) {
      const failure = readFailure(dataDir)
      if (failure !== undefined) throw failure
      await this.#pause('the daemon does not listen for the other servers yet')
    }
  }

  async #commit(): Promise<void> {
    await this.#writeAttempt('committing')
    const { attempt } = this.#answered()
    await this.#insist(() => this.#parts.client.commit(attempt, { publicKeys: null }))
  }

  async #wait(): Promise<void> {
    const { signal, client, installation } = this.#parts
    const { dataDir, role } = installation.node
    const timeoutMs = Math.max(0, this.#deadline - systemClock.monotonic())
    const ready = waitUntilReady({ dataDir, clock: systemClock }, { timeoutMs, failFast: true, signal })
    const settled = role === 'server' ? this.#waitForRole() : Promise.resolve()
    await abortable(Promise.all([ready, settled]), signal)
    await this.#insist(() => client.confirm(this.#answered().attempt))
    rmSync(attemptFilePath(dataDir), { force: true })
    client.close()
  }

  async #waitForRole(): Promise<void> {
    let steadySince = Number.POSITIVE_INFINITY
    for (;;) {
      const state = await this.#state()
      const now = systemClock.monotonic()
      if (state?.inPlace !== true || state.role !== this.#role) steadySince = now
      this.#role = state?.role ?? null
      if (state?.settled || (state?.inPlace && now - steadySince >= STEADY_MS)) return
      await this.#pause('the new server has not been given its role yet')
    }
  }

  /** Undefined while nobody can say. */
  async #state(): Promise<AttemptState | undefined> {
    const { client, signal } = this.#parts
    try {
      const state = await client.state(this.#answered().attempt, signal)
      if (state !== null) return state
    } catch (error) {
      if (error instanceof Mk8sError && error.info.retry) return undefined
      throw error
    }
    throw new Mk8sError('refused', 'the cluster has taken the place of this node back', {
      why: 'the join took too long, or another attempt for the same node took its place',
      hint: 'run mk8s join again',
    })
  }

  /** A server dies, another leads: what can be asked again without harm is, until the time is over. */
  async #insist<T>(ask: () => Promise<T>, signal = this.#parts.signal): Promise<T> {
    for (;;) {
      try {
        return await ask()
      } catch (error) {
        const isPassing =
          error instanceof Mk8sError && (error.info.retry || error.code === 'store/outcome-unknown')
        if (!isPassing || systemClock.monotonic() >= this.#deadline) throw error
        await sleepAlive(systemClock, RETRY_MS, signal)
      }
    }
  }

  async #pause(why: string): Promise<void> {
    if (systemClock.monotonic() >= this.#deadline) {
      const seconds = Math.round(this.#parts.timeoutMs / 1000)
      throw new Mk8sError('node/not-ready', `the node has not joined within ${seconds} s`, {
        why,
        hint: 'everything was taken back; try again, with a longer --timeout if the machines are slow',
      })
    }
    await sleepAlive(systemClock, POLL_MS, this.#parts.signal)
  }

  /** Takes back what was done, the cluster first, so that it lets go of the member while that still runs. */
  async undo(): Promise<void> {
    const { client, installation } = this.#parts
    const { dataDir } = installation.node
    if (this.#answer !== undefined) await this.#tellCluster(this.#answer)
    client.close()
    try {
      if (this.#lifecycle !== undefined && this.#started) {
        await stopNode(this.#lifecycle, { workloads: true })
        await this.#lifecycle.forgetContainers()
      }
      await installation.service.remove()
      if (this.#wrote) removeNodeDirectory(dataDir)
      if (this.#wrote && this.#hadDirectory) makeDirectory(dataDir, 0o700)
      await this.#copy?.restore()
    } catch (error) {
      remark(`what was made in ${dataDir} could not be removed: ${messageOf(error)}`)
    }
  }

  async #tellCluster({ attempt }: JoinAnswer): Promise<void> {
    const late = new AbortController()
    const timer = systemClock.after(ABORT_MS_MAX, () =>
      late.abort(new Error(`no answer within ${ABORT_MS_MAX / 1000} s`)),
    )
    try {
      await abortable(
        this.#insist(() => this.#parts.client.abort(attempt), late.signal),
        late.signal,
      )
    } catch (error) {
      remark(
        `the cluster could not be told (${messageOf(error)}); it takes the place back by itself in some minutes`,
      )
    } finally {
      timer.cancel()
    }
  }
}

function fileActions({ node }: Pick<Installation, 'node'>): InstallActions {
  const never = async () => {
    throw new Error('a join does this in a step of its own')
  }
  return {
    ensureKeys: never,
    start: never,
    restartIfOutdated: never,
    waitUntilReady: never,
    async renderKubeconfig() {
      const { authorities, leaves } = await loadPki(nodePaths(node.dataDir).pki)
      return adminKubeconfig(node, { authority: authorities['cluster-ca'].certificate, ...leaves.admin })
    },
  }
}

/** Whether somebody listens there. */
function accepts(host: string, port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ host, port })
    const end = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(1_000, () => end(false))
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}
