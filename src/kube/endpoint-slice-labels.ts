/** Labels by which endpoint slices are found. */

/** The Service whose endpoints they are. */
export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name'
/** Who keeps them; nobody else changes them. */
export const MANAGED_BY_LABEL = 'endpointslice.kubernetes.io/managed-by'
