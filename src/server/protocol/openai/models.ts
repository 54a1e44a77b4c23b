// The list of models, as both the OpenAI and the Anthropic API read it: one answer with the fields of both.

export interface ListedModel {
  readonly name: string;
  /** Seconds since 1970. */
  readonly created: number;
  /** Tokens; undefined when the model's header could not be read. */
  readonly contextLength: number | undefined;
  readonly loaded: boolean;
}

export const modelBody = (model: ListedModel): object => ({
  id: model.name,
  object: 'model',
  type: 'model',
  created: model.created,
  created_at: new Date(model.created * 1000).toISOString(),
  display_name: model.name,
  owned_by: 'ingot',
  ...(model.contextLength === undefined
    ? {}
    : { context_length: model.contextLength, max_model_len: model.contextLength }),
  loaded: model.loaded,
});

export const modelListBody = (models: readonly ListedModel[]): object => ({
  object: 'list',
  data: models.map(modelBody),
  has_more: false,
  first_id: models[0]?.name ?? null,
  last_id: models.at(-1)?.name ?? null,
});
