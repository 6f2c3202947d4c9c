/** A containerd for a test, in a network namespace that the test makes; nothing of it touches the host's network. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { must } from '../../src/base/assert.ts'
import { systemClock } from '../../src/base/clock.ts'
import { createLog } from '../../src/base/log.ts'
import {
  containerObstacle,
  findProgram,
  hasCapability,
  missingPrograms,
} from '../../src/host/container-programs.ts'
import { importArchive } from '../../src/runtime/images/import-archive.ts'
import { machineArchitecture } from '../../src/runtime/images/oci-archive.ts'
import { PAUSE_IMAGE, pauseImage } from '../../src/runtime/images/pause-image.ts'
import { readContainerdFacts } from '../../src/runtime/kubelet/runtime/cri/containerd-programs.ts'
import { endContainerd } from '../../src/runtime/kubelet/runtime/cri/end-containerd.ts'
import { ManagedContainerd } from '../../src/runtime/kubelet/runtime/cri/managed-containerd.ts'

/** Why containers cannot be run here; undefined when they can. */
export function whyNoContainers(): string | undefined {
  if (process.platform !== 'linux' || process.geteuid?.() !== 0) return 'real containers need root on Linux'
  const missing = [
    ...missingPrograms('containerd'),
    ...['busybox', 'ip'].filter(name => findProgram(name) === undefined),
  ]
  if (missing.length > 0) return `not installed: ${missing.join(', ')}`
  return containerObstacle() || undefined
}

/** Why no network namespace can be made here; undefined when one can. */
export function whyNoNamespace(): string | undefined {
  const why = 'network namespaces need root on Linux'
  if (process.platform !== 'linux' || process.geteuid?.() !== 0) return why
  if (!hasCapability('CAP_SYS_ADMIN') || !hasCapability('CAP_NET_ADMIN')) return why
  return findProgram('ip') === undefined ? 'not installed: ip (Debian: apt-get install iproute2)' : undefined
}

export const architecture = () => must(machineArchitecture(), 'an architecture that images are made for')

/** A network namespace with loopback up and a default route to nowhere, so that service addresses have a way. */
export class NetworkNamespace {
  readonly name: string
  readonly #peer: string

  constructor(suffix: string) {
    this.name = `mk8s-${suffix}-${process.pid}`
    this.#peer = `m${process.pid}p`
    const ip = (...args: string[]) => execFileSync('ip', args)
    ip('netns', 'add', this.name)
    ip('-n', this.name, 'link', 'set', 'lo', 'up')
    ip('-n', this.name, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', this.#peer)
    ip('-n', this.name, 'link', 'set', 'eth0', 'up')
    ip('-n', this.name, 'link', 'set', this.#peer, 'up')
    ip('-n', this.name, 'addr', 'add', `${this.address}/24`, 'dev', 'eth0')
    ip('-n', this.name, 'route', 'add', 'default', 'via', '10.77.0.1')
  }

  get address(): string {
    return '10.77.0.11'
  }

  /** And a way out, as IPv4 has it. */
  addIpv6(): void {
    const ip = (...args: string[]) => execFileSync('ip', ['-n', this.name, ...args])
    ip('addr', 'add', `${this.address6}/64`, 'dev', 'eth0', 'nodad')
    ip('-6', 'route', 'add', 'default', 'via', 'fd77::1', 'dev', 'eth0')
  }

  /** A machine that knows no other family. */
  takeIpv4(): void {
    execFileSync('ip', ['-n', this.name, '-4', 'addr', 'flush', 'dev', 'eth0'])
  }

  get address6(): string {
    return 'fd77::11'
  }

  /** Words in front of a command that is to run inside. `ip netns exec` would hide the control groups. */
  get enter(): readonly [string, ...string[]] {
    return ['nsenter', `--net=/run/netns/${this.name}`]
  }

  remove(): void {
    execFileSync('ip', ['netns', 'delete', this.name])
  }
}

export interface TestContainerd {
  readonly directory: string
  readonly socketPath: string
  readonly nodeId: string
  readonly namespace: NetworkNamespace
  readonly containerd: ManagedContainerd
  start(): Promise<void>
  remove(): Promise<void>
}

export async function startTestContainerd(): Promise<TestContainerd> {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-cri-'))
  const nodeId = basename(directory)
  const namespace = new NetworkNamespace('cri')
  const level = process.env['MK8S_TEST_LOG'] === 'debug' ? 'debug' : 'error'
  const log = createLog({ level, now: Date.now, write: line => void process.stderr.write(line) })
  const shared = { sharedDirectories: [join(directory, 'pods')], clock: systemClock }
  const open = () =>
    new ManagedContainerd({
      ...shared,
      dataDir: directory,
      podRange: { cidrs: ['10.1.0.0/24'], onChange: () => () => {} },
      facts: () => readContainerdFacts(PAUSE_IMAGE),
      importSandboxImage: async socketPath => {
        await importArchive(socketPath, { archive: pauseImage(architecture()) })
      },
      program: [...namespace.enter, 'containerd'],
      log,
    })
  const containerd = open()
  await containerd.start(new AbortController().signal)
  return {
    directory,
    socketPath: containerd.socketPath,
    nodeId,
    namespace,
    containerd,
    start: () => open().start(new AbortController().signal),
    async remove() {
      await containerd.stop()
      await endContainerd({ ...shared, dataDir: directory, nodeId })
      namespace.remove()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
