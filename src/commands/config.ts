/** `mk8s config`: prints the administrator's kubeconfig. */
import { readFileSync } from 'node:fs'
import { bracketed } from '../base/bracketed.ts'
import { Mk8sError, systemCodeOf } from '../base/errors.ts'
import { Flags } from '../cli/flags.ts'
import { print, printJson } from '../cli/terminal.ts'
import { loopbackAddress } from '../config/values.ts'
import { nodePaths } from '../host/node-files.ts'
import { NodeCommand } from './base-command.ts'

const SERVER = /^( +server: "?https:\/\/)(\[[^\]]*\]|[^:/"]+)/m

export class Config extends NodeCommand {
  static override summary = "Print the administrator's kubeconfig."
  static override description =
    'The output holds a private key: whoever has it may do everything in the cluster.'
  static override examples = ['<%= config.bin %> config > ~/.kube/config']
  static override flags = {
    'all-servers': Flags.boolean({
      description:
        'With a cluster and a context for every API server that serves now; kubectl --context chooses.',
    }),
    'use-loopback': Flags.boolean({ char: 'l', description: 'With a loopback address of the server.' }),
  }

  async run(): Promise<number> {
    const { flags } = await this.parse(Config)
    const kubeconfig = readKubeconfig(flags['data-dir'])
    const file = flags['use-loopback']
      ? kubeconfig.replace(SERVER, (_all, head: string, host: string) => `${head}${onLoopback(host)}`)
      : kubeconfig
    const text = flags['all-servers'] ? await addServers(file) : file
    if (flags.json) {
      const { parseYamlDocuments } = await import('../kube/yaml.ts')
      printJson(parseYamlDocuments(text)[0])
    } else print(text)
    return 0
  }
}

async function addServers(kubeconfig: string): Promise<string> {
  const { withAllServers } = await import('../cli/all-servers.ts')
  return withAllServers(kubeconfig)
}

function onLoopback(host: string): string {
  return bracketed(loopbackAddress(host.replace(/^\[(.*)\]$/, '$1')))
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
