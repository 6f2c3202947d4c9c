/** A node with real containers for a test, in a network namespace of its own, asked with the real kubectl. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MK8S } from './cluster.ts'
import { NetworkNamespace } from './containerd.ts'
import { KUBECTL, type Kubectl, kubectlFor, type Ran, type RunOptions, run } from './kubectl.ts'

/** What the pods run: the machine's busybox, imported. */
export const IMAGE = 'localhost/test/busybox:1'

export interface ContainerCluster {
  readonly namespace: NetworkNamespace
  readonly dataDir: string
  readonly kubectl: Kubectl
  /** Runs a program of the machine in the node's network. */
  inside(program: string, args: readonly string[], options?: RunOptions): Promise<Ran>
  /** One command for all of them. */
  apply(...items: readonly object[]): Promise<string>
  /** What is left in its network can be looked at then. */
  uninstall(): Promise<void>
  remove(): Promise<void>
}

export async function startContainerCluster(
  runtime: string,
  name: string,
  args: readonly string[] = [],
  family: 'IPv4' | 'IPv6' = 'IPv4',
): Promise<ContainerCluster> {
  const namespace = new NetworkNamespace(name)
  if (family === 'IPv6') {
    namespace.addIpv6()
    namespace.takeIpv4()
  }
  const parent = mkdtempSync(join(tmpdir(), `mk8s-${name}-`))
  const dataDir = join(parent, 'data')
  const [enter, ...words] = namespace.enter
  const inside = (program: string, more: readonly string[], options: RunOptions = {}) =>
    run(enter, [...words, program, ...more], { ...options, env: { ...options.env, MK8S_DATA_DIR: dataDir } })
  const mk8s = async (more: readonly string[]) => {
    const ran = await inside(MK8S, more)
    assert.equal(ran.code, 0, `mk8s ${more.join(' ')}: ${ran.stdout}${ran.stderr}`)
  }
  const kubectl = kubectlFor(join(dataDir, 'admin.kubeconfig'), KUBECTL, namespace.enter)
  const uninstall = async () => {
    if (existsSync(dataDir)) await mk8s(['uninstall', '--yes'])
  }
  const remove = async () => {
    await uninstall()
    namespace.remove()
    rmSync(parent, { recursive: true, force: true })
  }
  try {
    const address = family === 'IPv6' ? namespace.address6 : namespace.address
    const where = ['--bind-address', address, '--node-name', 'n1']
    await mk8s(['install', '--runtime', runtime, ...where, ...args])
    await mk8s(['images', 'import', '--busybox', IMAGE])
  } catch (error) {
    await remove()
    throw error
  }
  return {
    ...{ namespace, dataDir, kubectl, inside, uninstall, remove },
    apply: (...items) =>
      kubectl.ok(['apply', '-f', '-'], {
        input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
      }),
  }
}
