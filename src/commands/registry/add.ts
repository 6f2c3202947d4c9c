/** `mk8s registry add`: where the nodes of the cluster get images, and how registries are spoken to. */
import { readFileSync } from 'node:fs'
import * as Args from '@oclif/core/args'
import { Mk8sError } from '../../base/errors.ts'
import { Flags } from '../../cli/flags.ts'
import { print, printJson } from '../../cli/terminal.ts'
import {
  type HostDocument,
  type MirrorDocument,
  PEOPLE,
  type RegistriesDocument,
  registriesProblems,
} from '../../kube/registries/registries.ts'
import { ClusterCommand } from '../base-command.ts'

interface AddFlags {
  readonly mirror?: string[] | undefined
  readonly rewrite?: string[] | undefined
  readonly insecure: boolean
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly username?: string | undefined
  readonly 'password-stdin': boolean
}

export class RegistryAdd extends ClusterCommand {
  static override summary =
    'Say where the nodes get images: mirrors, certificates and credentials of registries.'
  static override description =
    'Every node follows at once, without a restart. What is said of a registry replaces what was said before; ' +
    'with -f, the whole of what people have said. A file has the form of registries.yaml of K3s: mirrors with ' +
    'endpoint and rewrite, configs with auth and tls. The registry * stands for all that are not named. Mirrors ' +
    'are asked in their order, and the registry itself after them; http:// is spoken where the URL says so.'
  static override examples = [
    '<%= config.bin %> registry add docker.io --mirror https://mirror.example:5000',
    '<%= config.bin %> registry add registry.example:5000 --ca ca.crt --username ann --password-stdin',
    '<%= config.bin %> registry add -f registries.yaml',
  ]
  static override args = {
    host: Args.string({
      description: 'The registry as images name it, such as docker.io; or a mirror of one.',
    }),
  }
  static override flags = {
    file: Flags.string({
      char: 'f',
      description: 'A registries.yaml; - for standard input.',
      helpValue: 'FILE',
    }),
    mirror: Flags.string({
      description: 'Ask here first; may be given again.',
      helpValue: 'URL',
      multiple: true,
      multipleNonGreedy: true,
    }),
    rewrite: Flags.string({
      description: 'What mirrors call repositories: a regular expression and what replaces it.',
      helpValue: 'FROM=TO',
      multiple: true,
      multipleNonGreedy: true,
    }),
    insecure: Flags.boolean({ description: "Do not check the registry's certificate." }),
    ca: Flags.string({ description: 'The authority of its certificate (PEM).', helpValue: 'FILE' }),
    cert: Flags.string({
      description: 'A certificate to show it (PEM).',
      helpValue: 'FILE',
      dependsOn: ['key'],
    }),
    key: Flags.string({
      description: 'The key of that certificate.',
      helpValue: 'FILE',
      dependsOn: ['cert'],
    }),
    username: Flags.string({
      description: 'Of an account there.',
      helpValue: 'NAME',
      dependsOn: ['password-stdin'],
    }),
    'password-stdin': Flags.boolean({
      description: 'Read its password from standard input.',
      dependsOn: ['username'],
    }),
  }

  async run(): Promise<number> {
    const { args, flags } = await this.parse(RegistryAdd)
    const { host } = args
    if ((host === undefined) === (flags.file === undefined)) {
      throw new Mk8sError('usage', 'registry add needs the name of a registry, or -f FILE')
    }
    const { readPem, readRegistriesFile } = await import('./read-file.ts')
    const whole = flags.file === undefined ? undefined : readRegistriesFile(flags.file)
    const one = host === undefined ? {} : documentOf(host, flags, readPem)
    const problems = registriesProblems(one)
    if (problems.length > 0)
      throw new Mk8sError('config/invalid', 'nothing was changed', { why: problems.join('\n') })
    const [{ inCluster }, { changeRegistries, setRegistries }] = await Promise.all([
      import('./in-cluster.ts'),
      import('../../client/registries.ts'),
    ])
    await inCluster(flags, client =>
      whole === undefined
        ? changeRegistries(client, PEOPLE, before => merged(before, one))
        : setRegistries(client, PEOPLE, whole),
    )
    const changed = hostsOf(whole ?? one)
    if (flags.json) printJson({ registries: changed })
    else print(changed.map(each => `registry ${each} set`).join('\n'))
    return 0
  }
}

const hostsOf = ({ mirrors = {}, configs = {} }: RegistriesDocument): string[] =>
  [...new Set([...Object.keys(mirrors), ...Object.keys(configs)])].sort()

function merged(before: RegistriesDocument, one: RegistriesDocument): RegistriesDocument {
  return {
    mirrors: { ...before.mirrors, ...one.mirrors },
    configs: { ...before.configs, ...one.configs },
  }
}

function documentOf(host: string, flags: AddFlags, readPem: (path: string) => string): RegistriesDocument {
  const { mirror = [], rewrite = [], insecure, ca, cert, key, username } = flags
  const rules = rewrite.map(text => {
    const at = text.indexOf('=')
    if (at < 1) throw new Mk8sError('usage', `--rewrite ${text} is not of the form FROM=TO`)
    return [text.slice(0, at), text.slice(at + 1)] as const
  })
  const tls = {
    ...(ca !== undefined && { ca: readPem(ca) }),
    ...(cert !== undefined && { cert: readPem(cert) }),
    ...(key !== undefined && { key: readPem(key) }),
    ...(insecure && { insecure_skip_verify: true }),
  }
  const auth =
    username === undefined ? undefined : { username, password: readFileSync(0, 'utf8').replace(/\r?\n$/, '') }
  const config: HostDocument = { ...(auth && { auth }), ...(Object.keys(tls).length > 0 && { tls }) }
  const entry: MirrorDocument = {
    ...(mirror.length > 0 && { endpoint: mirror }),
    ...(rules.length > 0 && { rewrite: Object.fromEntries(rules) }),
  }
  if (Object.keys(config).length + Object.keys(entry).length === 0) {
    throw new Mk8sError('usage', `nothing is said of ${host}`, { hint: 'mk8s registry add --help' })
  }
  return {
    ...(Object.keys(entry).length > 0 && { mirrors: { [host]: entry } }),
    ...(Object.keys(config).length > 0 && { configs: { [host]: config } }),
  }
}
