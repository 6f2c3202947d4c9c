/** Which profile of AppArmor a container gets, when it is loaded, and what the default one says. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { findProgram } from '../../../../../../src/host/container-programs.ts'
import { runProgram } from '../../../../../../src/host/programs.ts'
import {
  DEFAULT_PROFILE,
  loadWith,
  prepareAppArmor,
  renderDefaultProfile,
} from '../../../../../../src/runtime/kubelet/runtime/oci/app-armor.ts'

const directory = mkdtempSync(join(tmpdir(), 'mk8s-armor-'))
after(() => rmSync(directory, { recursive: true }))

function machineWith(lines: string) {
  const kernel = { lines, loads: 0 }
  const load = async (profile: string) => {
    kernel.loads += 1
    kernel.lines += `${/^profile (\S+)/.exec(profile)?.[1]} (enforce)\n`
  }
  return { kernel, host: { loaded: () => kernel.lines, load } }
}

test('the default profile is loaded for the first container that asks for it, and again when it was taken away', async () => {
  const { kernel, host } = machineWith('/usr/sbin/ntpd (enforce)\n')
  const appArmor = { type: 'RuntimeDefault' } as const
  assert.equal(await prepareAppArmor({ appArmor }, host), DEFAULT_PROFILE)
  assert.equal(await prepareAppArmor({ appArmor }, host), DEFAULT_PROFILE)
  assert.equal(kernel.loads, 1)
  kernel.lines = ''
  await prepareAppArmor({ appArmor }, host)
  assert.equal(kernel.loads, 2)
})

test('a profile that a pod names has to be loaded; whoever names none, or Unconfined, has none', async () => {
  const { kernel, host } = machineWith('my-profile (complain)\nmy-profile//child (enforce)\n')
  const named = (name: string) => prepareAppArmor({ appArmor: { type: 'Localhost', name } }, host)
  assert.equal(await named('my-profile'), 'my-profile')
  await assert.rejects(named('my'), /apparmor profile not found my/)
  assert.equal(await prepareAppArmor({}, host), undefined)
  assert.equal(await prepareAppArmor({ appArmor: { type: 'Unconfined' } }, host), undefined)
  assert.equal(kernel.loads, 0)
})

test('the parser gets the profile, and what it says is told', async () => {
  const parser = join(directory, 'parser')
  writeFileSync(parser, `#!/bin/sh\necho "$@" >${directory}/args\ncat >${directory}/profile\n`, {
    mode: 0o755,
  })
  await loadWith(parser, renderDefaultProfile())
  assert.equal(readFileSync(join(directory, 'args'), 'utf8'), '--replace --skip-cache\n')
  assert.equal(readFileSync(join(directory, 'profile'), 'utf8'), renderDefaultProfile())
  writeFileSync(parser, '#!/bin/sh\necho "syntax error" >&2\nexit 1\n', { mode: 0o755 })
  const why = async (path: string | undefined) =>
    loadWith(path, 'x').then(
      () => '',
      error => error.why,
    )
  assert.equal(await why(parser), 'syntax error')
  assert.equal(await why(undefined), 'apparmor_parser is not installed')
})

const parser = findProgram('apparmor_parser')
test('AppArmor understands the default profile', {
  skip: parser === undefined && 'no apparmor_parser',
}, async () => {
  const args = ['--skip-kernel-load', '--skip-cache', '--base', directory]
  const ran = await runProgram(parser ?? '', args, { accept: 'any', input: renderDefaultProfile() })
  assert.equal(ran.exitCode, 0, ran.stderr)
})
