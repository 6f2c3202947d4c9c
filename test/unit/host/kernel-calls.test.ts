import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { must } from '../../../src/base/assert.ts'
import { kernelCalls, writeSysctl } from '../../../src/host/kernel-calls.ts'
import { mountsBelow, unmountBelow } from '../../../src/host/mounts.ts'

const isRoot = process.platform === 'linux' && process.geteuid?.() === 0
const options = { skip: isRoot ? false : 'namespaces need root on Linux' }
const NAMES = ['net', 'ipc', 'uts'] as const
const own = () => NAMES.map(name => readlinkSync(`/proc/thread-self/ns/${name}`))

async function inDirectory(body: (directory: string) => void): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-calls-'))
  for (const name of NAMES) writeFileSync(join(directory, name), '')
  try {
    body(directory)
  } finally {
    await unmountBelow([directory])
    rmSync(directory, { recursive: true, force: true })
  }
}

const filesIn = (directory: string) => ({
  net: join(directory, 'net'),
  ipc: join(directory, 'ipc'),
  uts: join(directory, 'uts'),
})

test('namespaces are set up inside, held by files, and left again', options, () =>
  inDirectory(directory => {
    const before = own()
    const kernel = must(kernelCalls(), 'calls of the kernel')
    kernel.makeNamespaces(filesIn(directory), () => {
      writeSysctl('kernel.hostname', 'web')
      writeSysctl('net.ipv4.ip_unprivileged_port_start', '7')
      kernel.raiseLoopback()
    })
    assert.deepEqual(own(), before)
    const { net, uts } = filesIn(directory)
    const script = 'hostname; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; ip -o -4 address'
    const said = execFileSync('nsenter', [`--net=${net}`, `--uts=${uts}`, 'sh', '-c', script], {
      encoding: 'utf8',
    })
    assert.match(said, /^web\n7\n1: lo +inet 127\.0\.0\.1\/8 /)
    kernel.unmountLazily(uts)
    assert.deepEqual(mountsBelow([directory]).sort(), [join(directory, 'ipc'), net])
  }),
)

test('whatever fails inside of new namespaces, the thread is back in its own', options, () =>
  inDirectory(directory => {
    const before = own()
    const kernel = must(kernelCalls(), 'calls of the kernel')
    const make = (files: Parameters<typeof kernel.makeNamespaces>[0]) =>
      kernel.makeNamespaces(files, () => writeSysctl('net.no_such', '1'))
    assert.throws(() => make(filesIn(directory)), /ENOENT/)
    assert.deepEqual(own(), before)
    const lost = { net: join(directory, 'not/there') }
    assert.throws(() => kernel.makeNamespaces(lost, () => {}), /cannot be mounted/)
    assert.deepEqual(own(), before)
    assert.deepEqual(mountsBelow([directory]), [])
  }),
)
