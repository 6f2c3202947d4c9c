/** What containers of the oci runtime see from inside, and what is left of them however they end. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { readOrEmpty } from '../../../src/host/files.ts'
import { processesIn } from '../../../src/runtime/kubelet/runtime/cri/pod-cgroups.ts'
import { createWithConmon } from '../../../src/runtime/kubelet/runtime/oci/conmon.ts'
import { ociPaths } from '../../../src/runtime/kubelet/runtime/oci/oci-paths.ts'
import type { ContainerRecord } from '../../../src/runtime/kubelet/runtime/oci/oci-records.ts'
import type { OciRuntime } from '../../../src/runtime/kubelet/runtime/oci/oci-runtime.ts'
import type { ContainerConfig, SandboxConfig } from '../../../src/runtime/kubelet/runtime/runtime.ts'
import { type OciBench, ociBench, whyNoOci } from '../../support/oci.ts'
import { until } from '../../support/until.ts'
import { containerOf, sandboxOf } from './runtime-contract.ts'

const why = whyNoOci()
const isolation = {
  hostPorts: [],
  qosClass: 'BestEffort' as const,
  sharing: { hostPid: false, hostIpc: false, processes: false },
  privileged: false,
  sysctls: {},
}

describe('containers of the oci runtime', { skip: why ?? false }, () => {
  let bench: OciBench
  let runtime: OciRuntime
  const ended = new Set<string>()
  before(async () => {
    bench = ociBench()
    await bench.import('docker.io/example/web:1')
    runtime = bench.open()
    await runtime.start(event => ended.add(event.containerId))
  })
  after(async () => {
    await runtime?.stop()
    await bench?.remove()
  })

  const sandboxWith = (over: Partial<SandboxConfig> = {}) =>
    runtime.runSandbox(sandboxOf(bench.directory, { isolation, ...over }))
  const startIn = async (sandbox: string, over: Partial<ContainerConfig> = {}) => {
    const id = await runtime.createContainer(sandbox, containerOf(over))
    await runtime.startContainer(id)
    return id
  }
  /** Output of a script that runs as a container of its own in a sandbox of its own. */
  const outputOf = async (
    script: string,
    over: Partial<ContainerConfig> = {},
    pod: Partial<SandboxConfig> = {},
  ) => {
    const logDirectory = join(bench.directory, 'logs', String(Math.random()).slice(2))
    const sandbox = await sandboxWith({ logDirectory, ...pod })
    const id = await startIn(sandbox, { command: ['sh', '-c', `exec 2>&1\n${script}`], ...over }).catch(
      async error => {
        await runtime.removeSandbox(sandbox)
        throw error
      },
    )
    await until('it has ended', () => ended.has(id))
    const status = await runtime.containerStatus(id)
    const log = await readFile(status?.logPath ?? '', 'utf8')
    await runtime.removeSandbox(sandbox)
    return { status, text: log.replaceAll(/^\S+ std(?:out|err) [FP] /gm, '') }
  }
  const mountsOf = () =>
    readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .filter(line => line.includes(bench.directory))
  const cgroupsOf = () =>
    readdirSync('/sys/fs/cgroup').flatMap(name => {
      const path = join('/sys/fs/cgroup', name, bench.nodeId)
      return existsSync(path)
        ? readdirSync(path, { recursive: true })
            .map(String)
            .filter(each => /\/pod[^/]*$/.test(each))
        : []
    })
  const leases = () =>
    readdirSync(join(bench.directory, 'oci/ipam/mk8s')).filter(name => /^\d+\.\d+\.\d+\.\d+$/.test(name))

  test('user, groups, capabilities and what they may write are as the pod says', async () => {
    const security = { runAsUser: 65_534, runAsGroup: 7, supplementalGroups: [8, 9] }
    assert.equal((await outputOf('id -u; id -g; id -G', { security })).text, '65534\n7\n7 8 9\n')
    const bits = (
      await outputOf('grep CapBnd /proc/self/status', { security: { dropCapabilities: ['ALL'] } })
    ).text
    assert.match(bits, /CapBnd:\t0{16}/)
    const usual = (await outputOf('grep CapEff /proc/self/status')).text
    assert.match(usual, /CapEff:\t00000000a80425fb/)
    const tight = { readOnlyRootFilesystem: true, noNewPrivileges: true }
    const { text } = await outputOf('touch /x; grep NoNewPrivs /proc/self/status', { security: tight })
    assert.match(text, /touch: \/x: Read-only file system\nNoNewPrivs:\t1/)
  })

  test('RuntimeDefault refuses what reaches beyond the container; privileged containers may', async () => {
    const security = { seccomp: { type: 'RuntimeDefault' as const } }
    const script =
      'grep Seccomp: /proc/self/status; unshare -n true || echo refused; mount -t tmpfs x /tmp || echo no'
    const { text } = await outputOf(script, { security })
    assert.match(text, /Seccomp:\t2\n[\s\S]*refused\n[\s\S]*no\n/)
    const privileged = { security: { privileged: true } }
    const open = await outputOf(
      'mount -t tmpfs x /tmp && echo yes; ls /dev/null; ls /sys/fs/cgroup | wc -l',
      privileged,
    )
    assert.match(open.text, /^yes\n\/dev\/null\n/)
  })

  test('ordinary programs work under RuntimeDefault, and calls that nobody knows are none', async () => {
    const security = { seccomp: { type: 'RuntimeDefault' as const } }
    const node = dirname(process.execPath)
    const mounts = [...['/usr', '/lib', '/lib64'], node]
      .filter(existsSync)
      .map(path => ({ containerPath: path === node ? '/node' : path, hostPath: path, readOnly: true }))
    const work = `
      const { Worker } = require('worker_threads'); const fs = require('fs'); const net = require('net')
      console.log(require('child_process').execFileSync('id', ['-u'], { encoding: 'utf8' }).trim())
      fs.watch('/tmp').close(); fs.writeFileSync('/tmp/a', 'a'); fs.copyFileSync('/tmp/a', '/tmp/b')
      fs.promises.readFile('/tmp/b', 'utf8').then(text => new Worker('require("worker_threads").parentPort' +
        '.postMessage("' + text + '")', { eval: true }).once('message', answer => {
        const server = net.createServer(each => each.end(answer)).listen(0, '127.0.0.1', () =>
          net.connect(server.address().port, '127.0.0.1').on('data', data => { console.log(data + ' node'); server.close() }))
      }))`
    const calls = 'printf "%d %d %d\\n", map { $! = 0; syscall($_, -1, 0, 0); $!+0 } 9999, 272, 425'
    const script = `ls / | wc -l; perl -e 'my $p = fork // die; exit 3 if !$p; waitpid $p, 0; print $? >> 8, " perl\\n"'
        /node/node -e '${work.replaceAll("'", `'"'"'`)}'
        ${process.arch === 'x64' ? `perl -e '${calls}'` : 'echo 38 1 1'}`
    const { text } = await outputOf(script, { security, mounts })
    // A call that nobody knows, and two that are closed: unshare and io_uring_setup.
    assert.match(text, /^\d+\n3 perl\n0\na node\n38 1 1\n$/)
  })

  test('hostname, resolver, shared memory, sysctls and volumes are there', async () => {
    const volume = join(bench.directory, 'volume')
    await mkdir(volume, { recursive: true })
    await writeFile(join(volume, 'key'), 'from the volume\n')
    const mounts = [{ containerPath: '/data', hostPath: volume, readOnly: true }]
    const dns = { servers: ['10.1.2.3'], searches: ['svc.local'], options: ['ndots:5'] }
    const pod = { isolation: { ...isolation, dns, sysctls: { 'net.ipv4.ip_unprivileged_port_start': '80' } } }
    const script =
      'hostname; cat /etc/hostname /etc/resolv.conf /data/key; touch /data/x; df -k /dev/shm | tail -1; ' +
      'cat /proc/sys/net/ipv4/ip_unprivileged_port_start'
    const { text } = await outputOf(script, { mounts }, pod)
    assert.match(text, /^web\nweb\nsearch svc.local\nnameserver 10.1.2.3\noptions ndots:5\nfrom the volume\n/)
    assert.match(text, /Read-only file system\n[\s\S]*65536 [\s\S]*\n80\n$/)
  })

  test('CDI devices bring variables, nodes, mounts, groups and hooks, whoever names them', async () => {
    const kind = 'example.com/thing'
    const edits = {
      env: ['THING=one'],
      deviceNodes: [{ path: '/dev/thing', hostPath: '/dev/null', permissions: 'rw' }],
      mounts: [{ hostPath: '/etc/hostname', containerPath: '/thing/name', options: ['ro', 'bind'] }],
      hooks: [
        { hookName: 'createRuntime', path: '/bin/sh', args: ['sh', '-c', `: >${bench.directory}/hooked`] },
      ],
      additionalGids: [4_321],
    }
    const spec = { cdiVersion: '0.7.0', kind, devices: [{ name: 'a', containerEdits: edits }] }
    await mkdir(join(bench.directory, 'cdi/run'), { recursive: true })
    await writeFile(join(bench.directory, 'cdi/run/thing.json'), JSON.stringify(spec))
    const script =
      'echo $THING; cat /thing/name >/dev/thing && test -c /dev/thing && echo node; id -G; touch /thing/name'
    for (const over of [{ cdiDevices: [`${kind}=a`] }, { annotations: { 'cdi.k8s.io/x': `${kind}=a` } }]) {
      const { text } = await outputOf(script, over)
      assert.match(text, /^one\nnode\n[\d ]*4321\ntouch: .*Read-only/)
    }
    assert.ok(existsSync(join(bench.directory, 'hooked')))
    await assert.rejects(
      outputOf('true', { cdiDevices: [`${kind}=b`] }),
      /unresolvable CDI devices .*thing=b/,
    )
  })

  test('what takes more memory than its limit is ended, and says why', async () => {
    const resources = { memoryLimitBytes: 16 * 1024 * 1024 }
    const { status } = await outputOf('x=$(head -c 100000000 /dev/zero | tr "\\0" x); echo $x', { resources })
    assert.equal(status?.reason, 'OOMKilled')
  })

  test('containers share the processes of the pod when it says so', async () => {
    const sharing = { ...isolation.sharing, processes: true }
    const sandbox = await sandboxWith({ isolation: { ...isolation, sharing } })
    const first = await startIn(sandbox, { command: ['sleep', '601'] })
    const second = await startIn(sandbox, { command: ['sleep', '602'], name: 'side', logPath: 'side/0.log' })
    const { stdout } = await runtime.exec(second, ['ps', '-o', 'pid,args'], { timeoutMs: 30_000 })
    assert.match(stdout, /^ +1 \/pause\n[\s\S]*sleep 601\n[\s\S]*sleep 602\n/m)
    await runtime.stopContainer(first, 0)
    assert.equal((await runtime.containerStatus(second))?.state, 'running')
    await runtime.removeSandbox(sandbox)
  })

  test('a handler of a RuntimeClass picks the program, and one that nobody knows is refused', async () => {
    const sandbox = await sandboxWith({ runtimeHandler: 'runc' })
    const id = await startIn(sandbox)
    assert.ok(existsSync(join(bench.directory, 'oci/state/runc', id)))
    await runtime.removeSandbox(sandbox)
    await assert.rejects(sandboxWith({ runtimeHandler: 'kata' }), {
      message: /no runtime for "kata" is configured/,
    })
  })

  test('exec that takes too long is ended, even if what it started holds its output', async () => {
    const sandbox = await sandboxWith()
    const id = await startIn(sandbox)
    const began = performance.now()
    const result = await runtime.exec(id, ['sh', '-c', 'echo a; sleep 300; true'], { timeoutMs: 500 })
    assert.equal(result.timedOut, true)
    assert.ok(performance.now() - began < 120_000)
    await runtime.removeSandbox(sandbox)
  })

  test('a host port leads into the pod, and is given back', async () => {
    const port = { protocol: 'TCP' as const, containerPort: 8080, hostPort: 18_080, hostIp: '' }
    const sandbox = await sandboxWith({ isolation: { ...isolation, hostPorts: [port] } })
    await startIn(sandbox, {
      command: ['sh', '-c', 'echo hi >/tmp/index.html; exec httpd -f -p 8080 -h /tmp'],
    })
    const [enter, ...words] = bench.namespace.enter
    const wget = [...words, '/bin/busybox', 'wget', '-qO-', `http://${bench.namespace.address}:18080/`]
    const said = await until('it answers', () => {
      try {
        return execFileSync(enter, wget, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
      } catch {
        return undefined
      }
    })
    assert.equal(said, 'hi\n')
    await runtime.removeSandbox(sandbox)
    const rules = execFileSync(enter, [...words, 'iptables', '-t', 'nat', '-S'], { encoding: 'utf8' })
    assert.doesNotMatch(rules, /18080/)
  })

  test('a container whose monitor is killed has ended, and nothing of it is left', async () => {
    const sandbox = await sandboxWith()
    const id = await startIn(sandbox)
    const monitor = Number(readFileSync(join(bench.directory, 'oci/containers', id, 'conmon.pid'), 'utf8'))
    process.kill(monitor, 'SIGKILL')
    await until('its end is noticed', () => ended.has(id))
    assert.equal((await runtime.containerStatus(id))?.exitCode, 137)
    await runtime.removeSandbox(sandbox)
    assert.deepEqual([mountsOf(), cgroupsOf(), leases()], [[], [], []])
  })

  test('a later daemon finds what runs, what has ended meanwhile, and takes away what was begun', async () => {
    const sandbox = await sandboxWith()
    const runs = await startIn(sandbox)
    const ends = await startIn(sandbox, {
      name: 'ends',
      logPath: 'ends/0.log',
      command: ['sh', '-c', 'sleep 1; exit 9'],
    })
    await runtime.stop()
    await until('it ends', () => existsSync(join(bench.directory, 'oci/exits', ends)))
    const record = join(bench.directory, 'oci/containers', runs, 'state.json')
    const kept = readFileSync(record, 'utf8')
    // As a daemon that was killed in the middle of a start leaves it.
    await writeFile(record, JSON.stringify({ ...JSON.parse(kept), startedAt: 0, conmon: null, init: null }))
    runtime = bench.open()
    await runtime.start(event => ended.add(event.containerId))
    assert.equal((await runtime.containerStatus(ends))?.exitCode, 9)
    assert.equal((await runtime.containerStatus(runs))?.state, 'created')
    await runtime.startContainer(runs)
    await runtime.stop()
    runtime = bench.open()
    await runtime.start(event => ended.add(event.containerId))
    assert.equal((await runtime.containerStatus(runs))?.state, 'running')
    assert.equal((await runtime.exec(runs, ['true'], { timeoutMs: 60_000 })).exitCode, 0)
    await runtime.removeSandbox(sandbox)
    assert.deepEqual([mountsOf(), cgroupsOf(), leases()], [[], [], []])
  })

  test('a later daemon begins what was made and waits, and knows what ran before its fifo was taken away', async () => {
    const sandbox = await sandboxWith()
    const waits = await runtime.createContainer(
      sandbox,
      containerOf({ name: 'waits', logPath: 'waits/0.log' }),
    )
    const runs = await startIn(sandbox)
    await runtime.stop()
    const oci = ociPaths(bench.directory)
    const edit = (id: string, change: (record: ContainerRecord) => Partial<ContainerRecord>) => {
      const path = join(oci.containers, id, 'state.json')
      const record = JSON.parse(readFileSync(path, 'utf8')) as ContainerRecord
      writeFileSync(path, JSON.stringify({ ...record, ...change(record) }))
      return record
    }
    const { program, logPath } = edit(waits, () => ({}))
    const state = join(oci.state, basename(program))
    const made = await createWithConmon({
      ...{ id: waits, directory: join(oci.containers, waits), exits: oci.exits, logPath },
      ...{ conmon: 'conmon', runtime: { path: program, state } },
      ...{ tty: false, stdin: false, stdinOnce: false },
    })
    edit(waits, ({ createdAt }) => ({ begun: true, startedAt: createdAt, ...made }))
    execFileSync('mkfifo', [join(state, runs, 'exec.fifo')])
    runtime = bench.open()
    await runtime.start(event => ended.add(event.containerId))
    for (const id of [waits, runs]) {
      const { stdout } = await runtime.exec(id, ['cat', '/proc/1/cmdline'], { timeoutMs: 60_000 })
      assert.match(stdout.toString(), /^sleep\0/)
      const said = execFileSync(program, ['--root', state, 'state', id], { encoding: 'utf8' })
      assert.match(said, /"status": "running"/)
    }
    await runtime.removeSandbox(sandbox)
    assert.deepEqual([mountsOf(), cgroupsOf(), leases()], [[], [], []])
  })

  test('a sandbox whose making was cut off before it had namespaces goes without a trace', async () => {
    const sandbox = await sandboxWith()
    await runtime.stop()
    for (const line of mountsOf().reverse()) execFileSync('umount', ['-l', line.split(' ')[1] ?? ''])
    const path = join(bench.directory, 'oci/sandboxes', sandbox, 'state.json')
    await writeFile(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), state: 'making' }))
    runtime = bench.open()
    await runtime.start(event => ended.add(event.containerId))
    assert.equal((await runtime.sandboxStatus(sandbox))?.state, 'not-ready')
    await runtime.removeSandbox(sandbox)
    assert.deepEqual([mountsOf(), cgroupsOf(), leases()], [[], [], []])
  })

  test('what clients of a killed daemon had started in a container is ended by the next one', async () => {
    const sandbox = await sandboxWith()
    const id = await startIn(sandbox)
    const cgroup = join('/', bench.nodeId, 'kubepods/besteffort')
    const isThere = () =>
      processesIn(cgroup).some(pid => readOrEmpty(`/proc/${pid}/cmdline`).includes('sleep\x00688'))
    // Detached, as one is whose own client is gone without a word.
    const execs = join(bench.directory, 'oci/containers', id, 'execs')
    await mkdir(execs, { recursive: true })
    const state = join(bench.directory, 'oci/state/runc')
    const args = ['--root', state, 'exec', '-d', '--pid-file', join(execs, 'left'), id, 'sleep', '688']
    execFileSync('runc', args, { stdio: 'ignore' })
    await until('it runs', isThere)
    await runtime.stop()
    runtime = bench.open()
    await runtime.start(event => ended.add(event.containerId))
    await until('it has ended', () => !isThere())
    assert.deepEqual(readdirSync(execs), [])
    assert.equal((await runtime.containerStatus(id))?.state, 'running')
    await runtime.removeSandbox(sandbox)
  })

  test('after a restart of the machine the sandbox is not ready, and goes without a trace', async () => {
    const sandbox = await sandboxWith()
    const id = await startIn(sandbox)
    await runtime.stop()
    // All that a restart would end, and records of another boot.
    for (const name of ['conmon.pid', 'pid']) {
      process.kill(Number(readFileSync(join(bench.directory, 'oci/containers', id, name), 'utf8')), 'SIGKILL')
    }
    for (const line of mountsOf().reverse()) execFileSync('umount', ['-l', line.split(' ')[1] ?? ''])
    const path = join(bench.directory, 'oci/sandboxes', sandbox, 'state.json')
    await writeFile(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), bootId: 'another' }))
    await writeFile(join(bench.directory, 'oci/boot'), 'another')
    runtime = bench.open()
    await runtime.start(event => ended.add(event.containerId))
    assert.equal((await runtime.sandboxStatus(sandbox))?.state, 'not-ready')
    assert.equal((await runtime.containerStatus(id))?.state, 'exited')
    await runtime.removeSandbox(sandbox)
    assert.deepEqual(await runtime.listSandboxes(), [])
    assert.deepEqual([mountsOf(), cgroupsOf()], [[], []])
  })
})
