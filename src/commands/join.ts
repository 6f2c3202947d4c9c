/** `mk8s join`: makes this machine a node of a cluster that exists. */
import * as Args from '@oclif/core/args'
import { systemClock } from '../base/clock.ts'
import { EXIT_INTERRUPTED, EXIT_OK, Mk8sError } from '../base/errors.ts'
import { systemRandom } from '../base/random.ts'
import { Flags, optionFlags } from '../cli/flags.ts'
import type { InstallationParts } from '../cli/installation.ts'
import { findJoinToken, hideArguments, readStandardInput } from '../cli/join-token.ts'
import { runSteps } from '../cli/progress.ts'
import { print, printJson, remark } from '../cli/terminal.ts'
import type { ConfigDocuments } from '../config/documents.ts'
import type { Finding } from '../host/preflight.ts'
import type { Authority, JoinClient } from '../runtime/join/join-client.ts'
import { checkedToken, type JoinUrl, parseJoinUrl } from '../runtime/join/join-url.ts'
import { lifecycleOf, mustBeRoot, NodeCommand, timeoutFlag, yesFlag } from './base-command.ts'
import type { Joined, Joining } from './joining.ts'

interface JoinFlags {
  readonly 'data-dir': string
  readonly worker: boolean
  readonly 'skip-verify': boolean
  readonly 'token-file'?: string | undefined
  readonly force: boolean
  readonly yes: boolean
  readonly json: boolean
  readonly debug: boolean
  readonly timeout: number
  readonly config?: string | undefined
}

export class Join extends NodeCommand {
  static override summary = 'Make this machine a node of a cluster that exists.'
  static override description =
    'URL is what mk8s add-node prints on a server. Nothing is sent to that server before it has proven to be the one ' +
    'that the fingerprint in the URL speaks of. Returns once the node holds its role and is Ready. A join that fails ' +
    'or is interrupted takes everything back, here and in the cluster, and does not use up its token.'
  static override examples = [
    'sudo <%= config.bin %> join 10.0.0.1:25000/TOKEN/FINGERPRINT',
    'sudo <%= config.bin %> join 10.0.0.1:25000/TOKEN/FINGERPRINT --worker',
    'sudo <%= config.bin %> join [fd00::1]:25000/-/FINGERPRINT --token-file /root/token',
  ]
  static override args = {
    url: Args.string({
      description: 'HOST:PORT/TOKEN/FINGERPRINT; - for a token from elsewhere.',
      required: true,
    }),
  }
  static override flags = {
    worker: Flags.boolean({ description: 'Run pods only: no datastore, no API server.' }),
    'token-file': Flags.string({
      description:
        'A file with the token, for a URL with - in its place; - reads standard input. [MK8S_JOIN_TOKEN]',
      helpValue: 'FILE',
    }),
    'skip-verify': Flags.boolean({
      description: 'Trust whoever answers. Somebody in between learns the token and can become your cluster.',
    }),
    force: Flags.boolean({
      description: 'Replace a node that is alone, or was taken out of the cluster, without asking.',
    }),
    yes: yesFlag,
    config: Flags.string({ char: 'c', description: 'A file with a NodeConfig.', helpValue: 'FILE' }),
    timeout: timeoutFlag('How long the whole join may take.'),
    ...optionFlags('NodeConfig'),
  }

  async run(): Promise<number> {
    const { flags, args } = await this.parse(Join)
    hideArguments('join')
    const url = parseJoinUrl(args.url)
    mustBeRoot('join')
    if (url.fingerprint === null && !flags['skip-verify'])
      throw new Mk8sError(
        'usage',
        'the URL has no fingerprint, so the server could not be told from an impostor',
        {
          hint: 'take the whole line that mk8s add-node prints; or, if you know what you do, --skip-verify',
        },
      )
    const [{ acquireInstallLock }, { createJoinClient }] = await Promise.all([
      import('../host/lock.ts'),
      import('../runtime/join/join-client.ts'),
    ])
    const fingerprint = flags['skip-verify'] ? null : url.fingerprint
    const lock = acquireInstallLock(flags['data-dir'])
    const client = createJoinClient({ servers: [url.server], fingerprint, clock: systemClock })
    const interruption = takeSignals()
    try {
      return await this.#join(url, client, {
        flags,
        texts: textsOf({ ...flags }),
        signal: interruption.signal,
      })
    } catch (error) {
      if (!interruption.signal.aborted) throw error
      remark('interrupted; everything was taken back')
      return EXIT_INTERRUPTED
    } finally {
      interruption.release()
      client.close()
      lock.release()
    }
  }

  async #join(
    url: JoinUrl,
    client: JoinClient,
    { flags, texts, signal }: { flags: JoinFlags; texts: Record<string, string>; signal: AbortSignal },
  ): Promise<number> {
    const { confirmReplacement, lookAtPresentNode, makeWay } = await import('./present-node.ts')
    const dataDir = flags['data-dir']
    const timeoutMs = flags.timeout * 1000
    if (!flags.json) remark(`- check that ${url.server.host} is a server of the cluster`)
    const authority = await client.connect(signal)
    const present = await lookAtPresentNode({ dataDir, fingerprint: authority.fingerprint, timeoutMs })
    if (present.kind === 'member') return showMember(flags)
    const former = present.kind === 'replaceable' ? present.former : undefined
    const own = await installationParts(flags, texts, former)
    const parts: InstallationParts = { ...own, joinsAt: url.server.host }
    const { prepareInstallation } = await import('../cli/installation.ts')
    const installation = await prepareInstallation(parts)
    const { preflightError } = await import('../host/preflight.ts')
    const problem = preflightError(installation.findings)
    if (problem !== undefined) throw problem
    if (!flags.json) sayWhatIsMissing(installation.findings)
    const found = await findJoinToken({
      shown: url.token,
      file: flags['token-file'],
      env: process.env['MK8S_JOIN_TOKEN'],
      readStandardInput,
    })
    const token = { ...found, text: checkedToken(found.text) }
    if (present.kind === 'replaceable')
      await confirmReplacement(dataDir, { what: present.what, yes: flags.force || flags.yes })
    const { Joining } = await import('./joining.ts')
    const joining = new Joining({
      ...{ installation, installationParts: parts, client, server: url.server },
      ...{ authority, token, timeoutMs, signal },
      makeWay: former === undefined ? undefined : () => makeWay(dataDir),
    })
    const joined = await carryOut(joining, authority, flags)
    return showJoined(joined, flags)
  }
}

async function installationParts(
  flags: JoinFlags,
  texts: Record<string, string>,
  former: ConfigDocuments | undefined,
): Promise<InstallationParts> {
  const { service } = await lifecycleOf(flags['data-dir'])
  return {
    dataDir: flags['data-dir'],
    flags: texts,
    env: process.env,
    ...(flags.config !== undefined && { configFile: flags.config }),
    ...(former !== undefined && { former }),
    joinsAs: flags.worker ? 'worker' : 'server',
    readyTimeoutMs: flags.timeout * 1000,
    service,
    clock: systemClock,
    random: systemRandom,
  }
}

async function carryOut(joining: Joining, authority: Authority, { json }: JoinFlags): Promise<Joined> {
  try {
    if (!json) remark(`- its authority has the fingerprint ${authority.fingerprint}`)
    await runSteps(joining.steps(), { quiet: json })
    return joining.joined
  } catch (error) {
    await joining.undo()
    throw error
  }
}

function showJoined({ node, role, safetyCopy }: Joined, { json }: JoinFlags): number {
  const { nodeName, bindAddress, clusterId, dataDir } = node
  if (json) {
    printJson({
      result: 'joined',
      nodeName,
      bindAddress,
      role: role ?? 'worker',
      clusterId,
      dataDir,
      safetyCopy,
    })
    return EXIT_OK
  }
  if (safetyCopy !== null) remark(`what was here before is kept in ${safetyCopy}`)
  const what = role === null ? 'as a worker' : `as a ${role} of the datastore`
  print(`The node ${nodeName} has joined the cluster ${what}, and is Ready.`)
  return EXIT_OK
}

async function showMember({ 'data-dir': dataDir, json }: JoinFlags): Promise<number> {
  const { readNodeConfig } = await import('../config/config-files.ts')
  const { nodeName, clusterId } = readNodeConfig(dataDir)
  if (json) printJson({ result: 'unchanged', nodeName, clusterId, dataDir })
  else print(`The node ${nodeName} is in this cluster already, and is Ready.`)
  return EXIT_OK
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** The first signal has everything taken back; the second one does not wait for that. */
function takeSignals(): { readonly signal: AbortSignal; release(): void } {
  const controller = new AbortController()
  const onSignal = () => {
    if (controller.signal.aborted) process.exit(EXIT_INTERRUPTED)
    controller.abort(new Mk8sError('refused', 'interrupted'))
  }
  for (const signal of SIGNALS) {
    process.removeAllListeners(signal)
    process.on(signal, onSignal)
  }
  return {
    signal: controller.signal,
    release() {
      for (const signal of SIGNALS) process.removeListener(signal, onSignal)
    },
  }
}

/** The flags that hold text, which is all that options do. */
function textsOf(flags: Readonly<Record<string, unknown>>): Record<string, string> {
  const texts = Object.entries(flags).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  )
  return Object.fromEntries(texts)
}

/** What nodes of this system cannot do is said before anything is done. */
function sayWhatIsMissing(findings: readonly Finding[]): void {
  const about = findings.find(({ check, level }) => check === 'operating system' && level === 'warning')
  if (about !== undefined) remark(`warning: ${about.message}`)
}
