/** The page that lists every published operation as served or not says what a running cluster does. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import { API_PATHS_PAGE, askAll, renderApiPaths } from '../../scripts/api-paths.ts'
import { apiFor } from '../support/api.ts'
import { installCluster } from '../support/cluster.ts'

test('docs/api-paths.md lists what is served, and every stable operation but those of host logs is', async () => {
  const cluster = await installCluster()
  try {
    const answers = await askAll(apiFor(cluster.kubeconfig))
    assert.equal(readFileSync(API_PATHS_PAGE, 'utf8'), renderApiPaths(answers), 'run `npm run docs:api`')
    const missing = answers.filter(({ path, served }) => !served && !/(alpha|beta)\d/.test(path))
    assert.deepEqual(
      [...new Set(missing.map(({ path }) => path))],
      ['/apis/internal.apiserver.k8s.io/', '/apis/storagemigration.k8s.io/', '/logs/', '/logs/{logpath}'],
    )
  } finally {
    await cluster.remove()
  }
})
