/** APIServices whose groups extension API servers have (pure). */
import type { APIService } from './types.ts'

/** Another server answers for it, not this one. */
export const isRemote = (service: APIService | null): service is APIService =>
  service?.spec?.service !== undefined && service.spec.service !== null

export const isAvailable = ({ status }: APIService): boolean =>
  status?.conditions?.some(({ type, status: is }) => type === 'Available' && is === 'True') === true

/** Those of other servers, the versions first that their servers like best. */
export function remoteServices(services: readonly APIService[]): readonly APIService[] {
  const priority = ({ spec }: APIService) => spec?.versionPriority ?? 0
  return services.filter(isRemote).toSorted((a, b) => priority(b) - priority(a))
}
