/** The dashboard of a real cluster: who gets in and what they reach, and its page in Debian's Chromium. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import type { Browser, BrowserContextOptions } from 'playwright-core'
import { installCluster, type TestCluster, temporaryDirectory } from '../support/cluster.ts'
import {
  type Answer,
  callerOf,
  launchChromium,
  lowContrasts,
  tabTo,
  visit,
  whyNoChromium,
} from '../support/dashboard.ts'
import { until } from '../support/until.ts'

interface Link {
  readonly url: string
  readonly link: string
  readonly token: string
}

const WEB = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 1
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: web
          image: none
          command: [sh, -c, 'echo the first line; exec sleep 1000']
`
const JSON_TYPE = { 'content-type': 'application/json' }

let cluster: TestCluster
let call: ReturnType<typeof callerOf>
let viewer: Link
let admin: Link

before(async () => {
  cluster = await installCluster()
  await cluster.kubectl.ok(['apply', '-f', '-'], { input: WEB })
  const early = await cluster.mk8s(['dashboard'])
  assert.equal(early.code, 6)
  assert.match(early.stderr, /not enabled[\s\S]*mk8s enable dashboard/)
  const enabled = await cluster.mk8s(['enable', 'dashboard', '--set', 'admin=true'])
  assert.equal(enabled.code, 0, enabled.stderr)
  viewer = await linkOf('view')
  admin = await linkOf('admin')
  call = callerOf(cluster.kubeconfig, viewer.url)
})

after(() => cluster?.remove())

async function linkOf(role: string): Promise<Link> {
  const { code, stdout, stderr } = await cluster.mk8s(['dashboard', '--json', '--role', role])
  assert.equal(code, 0, stderr)
  return JSON.parse(stdout)
}

const signIn = (token: string, headers: Readonly<Record<string, string>> = JSON_TYPE) =>
  call('/session', { method: 'POST', headers, body: JSON.stringify({ token }) })

/** Both secrets, as a browser sends them. */
async function secretsOf({ token }: Link): Promise<Record<string, string>> {
  const answer = await signIn(token)
  assert.equal(answer.status, 200, answer.text)
  const cookie = String(answer.headers['set-cookie'])
  assert.match(cookie, /^__Host-[^=]+=[\w-]{43}; Path=\/; Max-Age=\d+; Secure; HttpOnly; SameSite=Strict$/)
  const { key } = JSON.parse(answer.text) as { key: string }
  return { cookie: cookie.split(';')[0] ?? '', 'x-mk8s-dashboard-key': key }
}

test('every answer forbids what the page does not need', async () => {
  const answers = await Promise.all(
    ['/', '/nothing', '/session', '/kube/api/v1/pods'].map(path => call(path)),
  )
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 404, 401, 401],
  )
  for (const { headers } of answers) {
    assert.match(
      String(headers['content-security-policy']),
      /^default-src 'none'; script-src 'self'; style-src 'self';/,
    )
    assert.doesNotMatch(String(headers['content-security-policy']), /unsafe|https?:|\*/)
    assert.equal(headers['x-content-type-options'], 'nosniff')
    assert.equal(headers['x-frame-options'], 'DENY')
  }
})

test('a session needs its cookie and its key, and ends by signing out', async () => {
  const headers = await secretsOf(viewer)
  const ask = (over: Record<string, string>): Promise<Answer> =>
    call('/kube/mk8s/status', { headers: { ...headers, ...over } })
  const status = await ask({})
  assert.equal(status.status, 200, status.text)
  assert.equal(JSON.parse(status.text).datastore.members[0].leader, true)
  assert.equal((await ask({ cookie: '' })).status, 401)
  assert.equal((await ask({ 'x-mk8s-dashboard-key': 'x' })).status, 401)
  assert.equal((await ask({ 'sec-fetch-site': 'same-site' })).status, 401, 'another port of the host')
  assert.equal((await call('/session', { method: 'DELETE', headers })).status, 204)
  assert.equal((await ask({})).status, 401)
})

test('a link signs in once, at any server, and is worth nothing to whoever reads its Secret', async () => {
  const { link } = await linkOf('view')
  const [, code = ''] = /#once=(.+)$/.exec(link) ?? []
  const use = () => call('/session', { method: 'POST', headers: JSON_TYPE, body: JSON.stringify({ code }) })
  const secrets = await cluster.kubectl.ok(['get', 'secrets', '-n', 'kubernetes-dashboard', '-o', 'json'])
  assert.doesNotMatch(secrets, /eyJ/)
  const both = await Promise.all([use(), use()])
  assert.deepEqual(both.map(({ status }) => status).sort(), [200, 401])
  const again = await use()
  assert.match(again.text, /this link has been used, or is too old/)
})

test('the viewer sees and changes nothing, and nobody reaches Secrets through the dashboard', async () => {
  const [view, all] = [await secretsOf(viewer), await secretsOf(admin)]
  const scale = (headers: Record<string, string>) =>
    call('/kube/apis/apps/v1/namespaces/default/deployments/web/scale', {
      method: 'PATCH',
      headers: { ...headers, 'content-type': 'application/merge-patch+json' },
      body: '{"spec":{"replicas":1}}',
    })
  const refused = await scale(view)
  assert.equal(refused.status, 403)
  assert.match(refused.text, /serviceaccount:kubernetes-dashboard:viewer\\?" cannot patch/)
  assert.equal((await scale(all)).status, 200)
  assert.equal((await call('/kube/api/v1/namespaces/default/pods', { headers: view })).status, 200)
  const secrets = await call('/kube/api/v1/secrets', { headers: all })
  assert.match(secrets.text, /the dashboard does not pass on GET \/api\/v1\/secrets/)
  const raw = ['get', '--raw', '/mk8s/status', '--token', viewer.token]
  const unprivileged = await cluster.kubectl.try(['get', '--raw', '/mk8s/status', '--as', 'ann'])
  assert.match(unprivileged.stderr, /forbidden/i)
  assert.equal((await cluster.kubectl.try(raw)).code, 0)
})

describe('in a browser', { skip: whyNoChromium() }, () => {
  let browser: Browser
  const shots = temporaryDirectory()

  before(async () => {
    browser = await launchChromium()
  })
  after(() => browser?.close())

  test('with the keyboard alone: a wrong token, a right one, a filter, a pod, its log, out again', async () => {
    const { page, complaints, close } = await visit(browser, viewer.url, { wanted: 'h1' })
    await tabTo(page, /^Token/)
    await page.keyboard.type('not-a-token')
    await page.keyboard.press('Enter')
    await page.getByRole('alert').filter({ hasText: 'the cluster does not know this token' }).waitFor()
    await tabTo(page, /end of the page/)
    await tabTo(page, /^Token/)
    await page.keyboard.press('Control+A')
    await page.keyboard.insertText(viewer.token)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
    await page.getByRole('cell', { name: 'leader, voter' }).waitFor()
    await tabTo(page, /^Workloads$/)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Deployments' }).waitFor()
    await tabTo(page, /^Pods$/)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Pods' }).waitFor()
    await tabTo(page, /^Filter/)
    await page.keyboard.type('web default')
    await tabTo(page, /^web-/)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: /^web-/ }).waitFor()
    await tabTo(page, /^Logs of web$/)
    await page.keyboard.press('Enter')
    await page.getByRole('log').filter({ hasText: 'the first line' }).waitFor()
    await tabTo(page, /end of the page/)
    await tabTo(page, /^Skip to the content$/)
    await page.keyboard.press('Enter')
    assert.equal(await page.evaluate('document.activeElement.id'), 'main')
    await tabTo(page, /end of the page/)
    await tabTo(page, /^Sign out$/)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    assert.deepEqual(complaints, [])
    await close()
  })

  test('the link signs in and leaves no token behind; a list follows the cluster; an administrator scales', async () => {
    const { page, complaints, close } = await visit(browser, (await linkOf('admin')).link, {
      wanted: 'nav.pages',
    })
    assert.doesNotMatch(page.url(), /token/)
    assert.doesNotMatch(await page.evaluate('JSON.stringify(localStorage)'), /eyJ/)
    await page.goto(`${admin.url}#/workloads/deployments`)
    await page.getByRole('cell', { name: '1/1' }).waitFor()
    await cluster.kubectl.ok(['create', 'deployment', 'idle', '--image=none', '--replicas=0'])
    await page.getByRole('rowheader', { name: 'idle' }).waitFor()
    await cluster.kubectl.ok(['delete', 'deployment', 'idle'])
    await page.getByRole('rowheader', { name: 'idle' }).waitFor({ state: 'detached' })
    await page.getByRole('link', { name: 'web' }).click()
    await page.getByRole('button', { name: 'Scale' }).click()
    await page.getByRole('spinbutton').fill('2')
    await page.getByRole('dialog').getByRole('button', { name: 'Scale' }).click()
    await page.getByText('2 wanted').waitFor()
    await until('there are two', async () => {
      const { stdout } = await cluster.kubectl.try([
        'get',
        'deployment',
        'web',
        '-o',
        'jsonpath={.spec.replicas}',
      ])
      return stdout === '2'
    })
    assert.deepEqual(complaints, [])
    await close()
  })

  const looks: Readonly<Record<string, BrowserContextOptions & { readonly pages: readonly string[] }>> = {
    light: {
      ...{ colorScheme: 'light', viewport: { width: 1280, height: 860 } },
      pages: ['', 'workloads/pods', 'addons'],
    },
    dark: {
      ...{ colorScheme: 'dark', viewport: { width: 1280, height: 860 } },
      pages: ['nodes', 'nodes/node-1', 'events', 'backups'],
    },
    phone: {
      ...{ colorScheme: 'dark', viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true },
      pages: ['', 'workloads/pods', 'deployments/default/web', 'addons'],
    },
  }

  for (const [look, { pages, ...options }] of Object.entries(looks)) {
    test(`pages are legible and fit: ${look}`, async context => {
      context.diagnostic(`screenshots are in ${shots}`)
      const { page, complaints, close } = await visit(browser, (await linkOf('view')).link, {
        ...options,
        wanted: 'nav.pages',
      })
      for (const path of pages) {
        await page.goto(`${viewer.url}#/${path}`)
        await page.locator('main h1').waitFor()
        await page.getByText('Loading …').first().waitFor({ state: 'detached' })
        await page.screenshot({ path: join(shots, `${look}-${path.replaceAll('/', '-')}.png`) })
        assert.deepEqual(await lowContrasts(page), [], `${look} ${path}`)
        const width = await page.evaluate('document.documentElement.scrollWidth')
        assert.ok(Number(width) <= (page.viewportSize()?.width ?? 0), `${path} is ${width} wide`)
        assert.equal(await page.getByRole('alert').count(), 0, path)
      }
      const ground = () => page.evaluate('getComputedStyle(document.body).backgroundColor')
      const first = await ground()
      const other = options.colorScheme === 'dark' ? 'light' : 'dark'
      const chosen = page.getByRole('button', { name: `Colours: ${other}` })
      while ((await chosen.count()) === 0) await page.getByRole('button', { name: /^Colours/ }).click()
      const second = await ground()
      assert.notEqual(second, first)
      await page.reload()
      await page.locator('nav.pages').waitFor()
      assert.equal(await ground(), second, 'the choice of colours holds')
      assert.deepEqual(complaints, [])
      await close()
    })
  }
})

test('whoever tries tokens has to wait', async () => {
  assert.equal((await signIn(viewer.token, { 'content-type': 'text/plain' })).status, 403, 'as a form would')
  let last = await signIn('nonsense')
  for (let tries = 0; tries < 15 && last.status === 401; tries++) last = await signIn('nonsense')
  assert.equal(last.status, 429)
  assert.ok(Number(last.headers['retry-after']) > 0)
  const disabled = await cluster.mk8s(['disable', 'dashboard'])
  assert.equal(disabled.code, 0, disabled.stderr)
  await assert.rejects(call('/'), /ECONNREFUSED/)
})
