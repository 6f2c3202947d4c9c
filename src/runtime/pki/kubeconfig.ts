/** The kubeconfig file that lets kubectl and helm in as one user with a client certificate. */

export interface KubeconfigParts {
  /** `https://127.0.0.1:16443`. */
  readonly server: string
  /** PEM. */
  readonly authority: string
  readonly certificate: string
  readonly key: string
  readonly clusterName?: string
  readonly userName?: string
}

/** The file's text, in YAML. */
export function renderKubeconfig(parts: KubeconfigParts): string {
  const cluster = JSON.stringify(parts.clusterName ?? 'mk8s')
  const user = JSON.stringify(parts.userName ?? 'admin')
  return [
    'apiVersion: v1',
    'kind: Config',
    'clusters:',
    `- name: ${cluster}`,
    '  cluster:',
    `    server: ${parts.server}`,
    `    certificate-authority-data: ${base64(parts.authority)}`,
    'users:',
    `- name: ${user}`,
    '  user:',
    `    client-certificate-data: ${base64(parts.certificate)}`,
    `    client-key-data: ${base64(parts.key)}`,
    'contexts:',
    `- name: ${cluster}`,
    '  context:',
    `    cluster: ${cluster}`,
    `    user: ${user}`,
    `current-context: ${cluster}`,
    'preferences: {}',
    '',
  ].join('\n')
}

const base64 = (text: string): string => Buffer.from(text, 'utf8').toString('base64')

/** The same kubeconfig with another identity, and everything else as it was. */
export function updateKubeconfig(
  text: string,
  identity: Pick<KubeconfigParts, 'authority' | 'certificate' | 'key'>,
): string {
  const data = {
    'certificate-authority-data': base64(identity.authority),
    'client-certificate-data': base64(identity.certificate),
    'client-key-data': base64(identity.key),
  }
  return Object.entries(data).reduce(
    (result, [name, value]) => result.replaceAll(new RegExp(`(\\b${name}: *)\\S+`, 'g'), `$1${value}`),
    text,
  )
}
