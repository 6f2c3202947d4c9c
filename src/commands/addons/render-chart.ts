/** Renders a Helm chart of an add-on with the real helm, once, where the command runs; the leader needs none. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import { locateProgram } from '../../cli/pass-through.ts'
import { runProgram } from '../../host/programs.ts'
import { renderYaml } from '../../kube/yaml.ts'
import type { ParameterValues } from '../../runtime/addons/addon-object.ts'
import type { AddonSource } from '../../runtime/addons/bundle.ts'
import { fingerprintOf } from '../../runtime/addons/plan-objects.ts'
import { CHART_PARAMETERS, fillIn, RENDERED_CHART } from '../../runtime/addons/render-manifests.ts'

const HELM_TIMEOUT_MS = 60_000

/** The source with what helm made of its chart; as it is where it has none. */
export async function withRenderedChart(
  source: AddonSource,
  parameters: ParameterValues,
): Promise<AddonSource> {
  const { definition, files } = source
  const { chart } = definition
  if (chart === null) return source
  const helm = locateProgram('helm')
  if (helm === undefined)
    throw new Mk8sError(
      'host/program-missing',
      `${definition.name} is a Helm chart, and helm is not installed`,
      {
        why: 'it is neither on PATH nor beside mk8s',
        hint: 'install helm on this machine only; the cluster does not need it',
      },
    )
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-chart-'))
  try {
    for (const [path, text] of Object.entries(files)) {
      if (!path.startsWith(chart.path)) continue
      mkdirSync(dirname(join(directory, path)), { recursive: true })
      writeFileSync(join(directory, path), path.endsWith('.tgz') ? Buffer.from(text, 'base64') : text)
    }
    writeFileSync(join(directory, '.values.yaml'), renderYaml(fillIn(chart.values, parameters)))
    const { stdout } = await runProgram(
      helm,
      [
        ...['template', chart.release, join(directory, chart.path), '--namespace', chart.namespace],
        ...['--include-crds', '--no-hooks', '--skip-tests', '--values', join(directory, '.values.yaml')],
      ],
      { timeoutMs: HELM_TIMEOUT_MS, env: { HELM_CACHE_HOME: directory, HELM_CONFIG_HOME: directory } },
    )
    const rendered = { [RENDERED_CHART]: stdout, [CHART_PARAMETERS]: fingerprintOf(parameters) }
    return { definition, files: { ...withoutChart(files, chart.path), ...rendered } }
  } catch (error) {
    if (!(error instanceof Mk8sError) || error.code !== 'host/program-failed') throw error
    throw new Mk8sError('config/invalid', `helm cannot render the chart of ${definition.name}`, {
      why: error.why ?? messageOf(error),
      cause: error,
    })
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** The rendered text says it all, and a ConfigMap has a limit. */
const withoutChart = (files: AddonSource['files'], path: string): AddonSource['files'] =>
  Object.fromEntries(Object.entries(files).filter(([name]) => !name.startsWith(path)))
