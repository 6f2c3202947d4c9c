/** `mk8s config`: prints the administrator's kubeconfig. */
import { readFileSync } from 'node:fs'
import { bracketed, unbracketed } from '../base/bracketed.ts'
import { Mk8sError, systemCodeOf } from '../base/errors.ts'
import { type TargetFlags, targetOf } from '../cli/cluster-target.ts'
import { Flags } from '../cli/flags.ts'
import type { KeptParts } from '../cli/kept-credential.ts'
import { keptParts, remarkPlace } from '../cli/kept-parts.ts'
import { readGiven } from '../cli/read-given.ts'
import { print, printJson } from '../cli/terminal.ts'
import { loopbackAddress } from '../config/values.ts'
import { nodePaths } from '../host/node-files.ts'
import { ClusterCommand } from './base-command.ts'

const SERVER = /^( +server: "?https:\/\/)(\[[^\]]*\]|[^:/"]+)/m

interface ShapeFlags {
  readonly 'all-servers': boolean
  readonly keychain: boolean
  readonly passphrase: boolean
}

export class Config extends ClusterCommand {
  static override summary = "Print the administrator's kubeconfig."
  static override description =
    'The output holds a private key: whoever has it may do everything in the cluster. With --keychain it does not. ' +
    'Where there is no keychain the key goes into a file encrypted under the passphrase in MK8S_PASSPHRASE, or ' +
    'else under a key of this machine beside it, which protects copies of the file and not from who reads both.'
  static override examples = [
    '<%= config.bin %> config > ~/.kube/config',
    'sudo <%= config.bin %> config | <%= config.bin %> config --keychain --from - > ~/.kube/config',
  ]
  static override flags = {
    'all-servers': Flags.boolean({
      description:
        'With a cluster and a context for every API server that serves now; kubectl --context chooses.',
    }),
    embed: Flags.boolean({ description: 'With the key in it, as it is without flags too.' }),
    from: Flags.string({
      description: 'Take this kubeconfig, - for the standard input, and not that of the node.',
      helpValue: 'FILE',
    }),
    keychain: Flags.boolean({
      description:
        'Without a private key: it goes into the keychain, or an encrypted file, and kubectl asks mk8s credential.',
      exclusive: ['embed', 'all-servers'],
    }),
    passphrase: Flags.boolean({
      description:
        'With --keychain, where there is no keychain: ask for the passphrase of the encrypted file.',
      dependsOn: ['keychain'],
    }),
    'use-loopback': Flags.boolean({ char: 'l', description: 'With a loopback address of the server.' }),
  }

  async run(): Promise<number> {
    const { flags } = await this.parse(Config)
    const kubeconfig = flags.from === undefined ? await this.#present(flags) : readGiven(flags.from)
    const file = flags['use-loopback']
      ? kubeconfig.replace(SERVER, (_all, head: string, host: string) => `${head}${onLoopback(host)}`)
      : kubeconfig
    const text = await this.#shaped(file, flags)
    if (flags.json) {
      const { parseYamlDocuments } = await import('../kube/yaml.ts')
      printJson(parseYamlDocuments(text)[0])
    } else print(text)
    return 0
  }

  async #present(flags: TargetFlags & { embed: boolean }): Promise<string> {
    const { dataDir, cluster } = await targetOf(flags)
    if (cluster === undefined) return readKubeconfig(dataDir)
    const { clusterKubeconfig } = await import('../cli/clusters.ts')
    return clusterKubeconfig(cluster, { embed: flags.embed }, await keptParts())
  }

  async #shaped(file: string, flags: ShapeFlags): Promise<string> {
    if (flags.keychain) return keepKey(file, flags.passphrase)
    return flags['all-servers'] ? addServers(file) : file
  }
}

/** The kubeconfig without its key, which this user's keychain has then. */
async function keepKey(file: string, asks: boolean): Promise<string> {
  const [{ keepCredential, takeIdentity }, { ownProgram }] = await Promise.all([
    import('../cli/kept-credential.ts'),
    import('../host/own-program.ts'),
  ])
  const { name, identity, kubeconfig } = takeIdentity(file, ownProgram())
  const parts = await keptParts()
  const passphrase = asks ? await newPassphrase(parts) : parts.passphrase
  remarkPlace(await keepCredential(name, identity, { ...parts, passphrase }))
  return kubeconfig
}

async function newPassphrase({ ask }: KeptParts): Promise<string> {
  const first = await ask('Passphrase: ')
  if (first === undefined) throw new Mk8sError('refused', 'there is no terminal to ask for a passphrase on')
  if (first === '') throw new Mk8sError('usage', 'the passphrase is empty')
  if ((await ask('The same again: ')) === first) return first
  throw new Mk8sError('usage', 'these were two different passphrases')
}

async function addServers(kubeconfig: string): Promise<string> {
  const { withAllServers } = await import('../cli/all-servers.ts')
  return withAllServers(kubeconfig)
}

function onLoopback(host: string): string {
  return bracketed(loopbackAddress(unbracketed(host)))
}

function readKubeconfig(dataDir: string): string {
  const { kubeconfig } = nodePaths(dataDir)
  try {
    return readFileSync(kubeconfig, 'utf8')
  } catch (error) {
    if (systemCodeOf(error) === 'EACCES') {
      throw new Mk8sError('host/not-root', `${kubeconfig} may not be read by this user`, {
        hint: 'sudo mk8s config',
        cause: error,
      })
    }
    throw new Mk8sError('node/not-installed', `mk8s is not installed in ${dataDir}`, {
      hint: 'mk8s install',
      cause: error,
    })
  }
}
