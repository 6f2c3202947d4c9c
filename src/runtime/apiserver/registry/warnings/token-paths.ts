/** Warnings of projected volumes in which something else has the path of a service account's token. Pure. */
import type { PodSpec } from '../../../../kube/types.ts'

/** The words are upstream's, in which paths of volumes are looked at together. */
export function tokenPathWarnings(at: string, { volumes = [] }: PodSpec): string[] {
  const tokens = new Set(
    volumes.flatMap(({ projected }) =>
      (projected?.sources ?? []).flatMap(({ serviceAccountToken: token }) => (token ? [token.path] : [])),
    ),
  )
  if (tokens.size === 0) return []
  return volumes.flatMap(({ projected }, index) => {
    const field = `${at}.volumes[${index}].projected.sources`
    const told = (where: string, items: readonly { readonly path?: string }[] | undefined) =>
      (items ?? []).flatMap(({ path = '' }, item) =>
        tokens.has(path)
          ? [
              `${field}.${where}[${item}]: has duplicated path with ServiceAccountToken ${JSON.stringify(path)}`,
            ]
          : [],
      )
    return (projected?.sources ?? []).flatMap(({ configMap, secret, downwardAPI }) => [
      ...told('configMap', configMap?.items),
      ...told('secrets', secret?.items),
      ...told('downwardAPI', downwardAPI?.items),
    ])
  })
}
