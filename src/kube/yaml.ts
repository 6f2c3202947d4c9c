/** YAML in and out: the one place that knows the library. */
import { dump, loadAll } from 'js-yaml'

/** Every document of the text; an empty one is null or undefined. Throws when the text is not YAML. */
export const parseYamlDocuments = (text: string): unknown[] => loadAll(text)

export const renderYaml = (value: unknown): string => dump(value, { noRefs: true, lineWidth: 110 })
